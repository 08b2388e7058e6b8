// Package version says which version of syntap a binary is.
package version

import (
	_ "embed"
	"runtime/debug"
	"strings"
)

// release is the version that is being worked on, or released where its tag is. Everything that
// names a version takes it from this file.
//
//go:embed VERSION
var release string

// String returns the version and, where the build knows it, the revision in the manner of semver's
// build metadata: 0.1.0 or 0.1.0+6b929ce, with ".dirty" behind where files were changed.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Release()
	}
	return withRevision(Release(), info.Settings)
}

// Release returns the version alone.
func Release() string { return strings.TrimSpace(release) }

func withRevision(version string, settings []debug.BuildSetting) string {
	const short = 7 // digits, as git shortens a revision
	revision, dirty := "", ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= short:
			revision = "+" + s.Value[:short]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".dirty"
		}
	}
	if revision == "" {
		return version
	}
	return version + revision + dirty
}
