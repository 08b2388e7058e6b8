package config

import (
	"slices"
	"testing"

	"syntap/cmd/internal/record/schema"
)

func TestFleetKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fields      []string
		has, hasNot string
	}{
		{[]string{"minimal"}, "dst", "name"},
		{[]string{"minimal", "name"}, "name", "user"},
		{[]string{"src", "name"}, "src", "dst"},
	} {
		f := Fleet{Fields: tt.fields}
		keys := f.Keys()
		if !slices.Contains(keys, tt.has) || slices.Contains(keys, tt.hasNot) {
			t.Errorf("%q keeps %q, want %s and not %s", tt.fields, keys, tt.has, tt.hasNot)
		}
		for _, key := range keys {
			if key != minimalFields && !slices.Contains(schema.Keys(), key) {
				t.Errorf("%q keeps %q, which no record has", tt.fields, key)
			}
		}
	}
	if keys := Default().Fleet.Keys(); keys != nil {
		t.Errorf("the default keeps only %q", keys)
	}
}
