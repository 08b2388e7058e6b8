package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestThreatModelHasAttempts compares the table of system calls in the threat model with those that
// the tests have a router make.
func TestThreatModelHasAttempts(t *testing.T) {
	t.Parallel()
	model, err := os.ReadFile(checkout + "/configs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(model), "\n| attempt | system calls |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if !found {
		t.Fatal("the threat model has no table of system calls")
	}
	var want []string
	for _, a := range aims(t, target{}) {
		want = append(want, a.row())
	}
	if diff := cmp.Diff(want, strings.Split(table, "\n")); diff != "" {
		t.Errorf("the threat model's table (-want +got):\n%s", diff)
	}
}
