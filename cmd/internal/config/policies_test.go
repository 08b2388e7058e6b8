package config

import (
	"path/filepath"
	"testing"
)

// TestPolicies reads the policies that come with syntap.
func TestPolicies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../configs/policies/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("files = %q, error %v", files, err)
	}
	for _, file := range files {
		policy, err := LoadPolicy(file)
		if err != nil {
			t.Error(err)
		} else if policy.Default != Deny || len(policy.Rules) == 0 {
			t.Errorf("%s allows all or nothing", file)
		}
	}
}
