package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The arrows between the packages of this module:
//
//	cmd/syntap ──> cmd/internal ──> tap ──> tun, tun/packet, tun/flow <── stack
//	                     ├────────> tun/route ──> tun/nft
//	                     └────────> configs

// mayImport lists for each folder the packages that the packages in it may import; "tap/..." is the
// folder tap with all packages in it. The longest folder around a package counts.
func mayImport() map[string][]string {
	frames := []string{"tun", "tun/packet", "tun/flow"}
	above := append([]string{"cmd/internal/...", "configs/...", "stack/...", "tap/...", "tun/route"},
		frames...)
	return map[string][]string{
		"tun":            {"tun/packet"},
		"tun/packet":     {},
		"tun/flow":       {"tun/packet"},
		"tun/nft":        {},
		"tun/route":      {"tun", "tun/packet", "tun/nft"},
		"tun/tuntest":    {"tun", "tun/packet"},
		"tap":            append([]string{"tap/..."}, frames...),
		"tap/policy":     {"tun/packet"},
		"tap/tcpdump":    {}, // notation only
		"stack":          append([]string{"stack/..."}, frames...),
		"stack/nat":      {"stack/dial", "stack/egress", "stack/inspect", "stack/sched", "tun", "tun/flow", "tun/packet"},
		"stack/names":    {"tun/flow"},
		"stack/egress":   {"tun/flow"},
		"stack/virtual":  {},
		"stack/resolver": {"stack/inspect", "stack/virtual"},
		"stack/sched":    {},
		"configs":        {},
		"cmd/internal":   above,
		"cmd/syntap":     above,

		"stack/netstack": {"tun"},
		"stack/inspect":  {"tun/flow"},

		"tap/handshake": {"tap/tcpdump", "tun/packet", "tun/flow"},
		"tap/taptest":   {"tap/handshake", "tap/tcpdump", "tun/packet", "tun/flow", "tun/tuntest"},
	}
}

// owners lists for each library the folders that may import it.
func owners() map[string][]string {
	return map[string][]string{
		"go.yaml.in/yaml":                {"cmd/internal/config"},
		"gvisor.dev/gvisor":              {"stack"},
		"github.com/gopacket/gopacket":   {"tap/capture"},
		"github.com/klauspost/compress":  {"tap/capture"},
		"github.com/spf13/cobra":         {"cmd/syntap"},
		"github.com/google/nftables":     {"tun/nft"},
		"github.com/vishvananda/netlink": {"tun/route", "tun/tuntest", "cmd/internal"},

		"github.com/santhosh-tekuri/jsonschema": {"cmd/internal/record/recordtest"}, // for tests
	}
}

// TestArrows looks at the imports of all files but tests, also of files for other systems than this
// one.
func TestArrows(t *testing.T) {
	t.Parallel()
	const root = "../.."
	packages := make(map[string]bool)
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") && file != root):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		packages[pkg] = true
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if err := checkImport(pkg, imported); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !packages["tun"] {
		t.Fatalf("packages = %v, want tun among them", packages)
	}
	for pkg := range packages {
		if err := checkName(pkg); err != nil {
			t.Error(err)
		}
	}
}

// checkImport refuses an import that goes against the arrows. The package is named by its folder.
func checkImport(pkg, imported string) error {
	for library, folders := range owners() {
		owned := func(folder string) bool { return within(pkg, folder) }
		if within(imported, library) && !slices.ContainsFunc(folders, owned) {
			return fmt.Errorf("%s imports %s, which only %s may", pkg, imported, folders)
		}
	}
	ours, ok := strings.CutPrefix(imported, "syntap/")
	if !ok {
		return nil
	}
	folder := ""
	for f := range mayImport() {
		if within(pkg, f) && len(f) > len(folder) {
			folder = f
		}
	}
	if folder == "" {
		return fmt.Errorf("%s imports %s, but stands in none of the folders that have arrows", pkg, imported)
	}
	if !slices.ContainsFunc(mayImport()[folder], func(f string) bool { return matches(ours, f) }) {
		return fmt.Errorf("%s imports %s against the arrows", pkg, imported)
	}
	return nil
}

// checkName refuses names that say nothing about a package's content.
func checkName(pkg string) error {
	for _, name := range []string{"util", "utils", "common", "helpers", "types"} {
		if path.Base(pkg) == name {
			return fmt.Errorf("package %s: a package is named for one idea, not %q", pkg, name)
		}
	}
	return nil
}

// within tells whether a package is the folder or lies in it.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

// matches tells whether a pattern of [mayImport] names a package.
func matches(pkg, pattern string) bool {
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(pkg, folder)
	}
	return pkg == pattern
}

// TestFramesKnowNoHost lists the dependencies of tap and stack, libraries included: packages that
// carry frames do not change the host.
func TestFramesKnowNoHost(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "syntap/tap", "syntap/tap/capture", "syntap/stack/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dependencies := strings.Fields(string(out))
	if !slices.Contains(dependencies, "syntap/tun") {
		t.Fatalf("dependencies = %q, want syntap/tun among them", dependencies)
	}
	for _, pkg := range dependencies {
		if pkg == "syntap/tun/route" || within(pkg, "github.com/vishvananda/netlink") {
			t.Errorf("tap or stack depends on %s", pkg)
		}
	}
}

func TestCheckImport(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pkg, imported string
		ok            bool
	}{
		{"tun", "net/netip", true},
		{"tun", "syntap/tap", false},
		{"tun", "syntap/tun/tuntest", false},
		{"tun", "syntap/tun/route", false},
		{"tun", "github.com/vishvananda/netlink", false},
		{"tun/route", "syntap/tun/nft", true},
		{"tun/route", "github.com/vishvananda/netlink/nl", true},
		{"tun/flow", "syntap/tun", false},
		{"tun/tuntest", "syntap/tun", true},
		{"tap", "syntap/tun", true},
		{"tap", "syntap/tun/flow", true},
		{"tap", "syntap/tun/route", false},
		{"tap", "syntap/tap/tcpdump", true},
		{"tap", "syntap/stack", false},
		{"tap", "syntap/cmd/internal/hint", false},
		{"tap/tcpdump", "syntap/tap", false},
		{"tap/tcpdump", "syntap/tun", false},
		{"tap", "syntap/tap/handshake", true},
		{"tap/handshake", "syntap/tap", false},
		{"tap/handshake", "syntap/tun", false},
		{"tap/policy", "syntap/tun/packet", true},
		{"tap/policy", "syntap/tun", false},
		{"tun/packet", "syntap/tun", false},
		{"stack", "syntap/stack/dial", true},
		{"stack", "syntap/tap/policy", false},
		{"stack", "syntap/tun/route", false},
		{"stack/dial", "syntap/tun", true},
		{"cmd/internal/app", "syntap/tun/route", true},
		{"cmd/internal/app", "syntap/tun/nft", false},
		{"cmd/internal/app", "syntap/stack", true},
		{"cmd/internal/app", "syntap/cmd/syntap", false},
		{"cmd/syntap", "syntap/cmd/internal/app", true},
		{"cmd/other", "syntap/tun", false},
		{"cmd/internal/config", "go.yaml.in/yaml/v4", true},
		{"cmd/internal/app", "go.yaml.in/yaml/v4", false},
		{"tap", "gvisor.dev/gvisor/pkg/buffer", false},
	}
	for _, tt := range tests {
		if err := checkImport(tt.pkg, tt.imported); (err == nil) != tt.ok {
			t.Errorf("checkImport(%q, %q) = %v, want ok %t", tt.pkg, tt.imported, err, tt.ok)
		}
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pkg string
		ok  bool
	}{
		{"tap/capture", true},
		{"tap/types", false},
		{"util", false},
	}
	for _, tt := range tests {
		if err := checkName(tt.pkg); (err == nil) != tt.ok {
			t.Errorf("checkName(%q) = %v, want ok %t", tt.pkg, err, tt.ok)
		}
	}
}
