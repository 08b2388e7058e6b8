package version

import (
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

func TestWithRevision(t *testing.T) {
	t.Parallel()
	tests := []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "1.2.3"},
		{[]debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, "1.2.3"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "6b929ce0123456"}}, "1.2.3+6b929ce"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "6b929ce0123456"}, {Key: "vcs.modified", Value: "true"}}, "1.2.3+6b929ce.dirty"},
	}
	for _, tt := range tests {
		if got := withRevision("1.2.3", tt.settings); got != tt.want {
			t.Errorf("withRevision(%v) = %q, want %q", tt.settings, got, tt.want)
		}
	}
}

// The changelog has a chapter with a date for the version that the binary names.
func TestChangelogHasRelease(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	chapter := regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(Release()) + ` \(\d{4}-\d\d-\d\d\)$`)
	if !chapter.Match(changelog) {
		t.Errorf("CHANGELOG.md has no chapter %q", "## "+Release()+" (DATE)")
	}
	if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(Release()) || strings.TrimSpace(String()) == "" {
		t.Errorf("version %q", Release())
	}
}
