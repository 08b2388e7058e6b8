package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
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
//	cmd/syntap ──> cmd/internal ─┬─> tap ───┬─> tun, tun/packet, tun/flow, tun/raw
//	                             ├─> stack ─╯
//	                             ├─> tun/route ──> tun/nft
//	                             ╰─> configs

// mayImport lists for each package the packages of this module that it imports. All others are
// against the arrows, and so is an arrow that no package needs.
func mayImport() map[string][]string {
	return map[string][]string{
		"tun":         {"tun/packet", "tun/raw"},
		"tun/flow":    {"tun/packet"},
		"tun/route":   {"tun/nft"},
		"tun/tuntest": {"tun", "tun/packet"},

		"tap": {
			"tap/handshake", "tap/policy", "tap/tcpdump", "tap/tracker", "tap/tracker/tuple", "tun",
			"tun/flow", "tun/packet",
		},
		"tap/capture":   {"tap/tcpdump", "tun/packet"},
		"tap/handshake": {"tap/tcpdump", "tun/flow", "tun/packet"},
		"tap/policy":    {"tun/packet"},
		"tap/taptest": {
			"tap/handshake", "tap/tcpdump", "tap/tracker", "tun/flow", "tun/packet", "tun/tuntest",
		},
		"tap/tracker": {
			"tap/handshake", "tap/tcpdump", "tap/tracker/evidence", "tap/tracker/kept",
			"tap/tracker/tuple", "tun/flow", "tun/packet",
		},
		"tap/tracker/evidence": {
			"tap/handshake", "tap/tcpdump", "tap/tracker/kept", "tap/tracker/tuple", "tun/packet",
		},
		"tap/tracker/kept":  {"tap/handshake", "tap/tcpdump", "tap/tracker/tuple", "tun/packet"},
		"tap/tracker/tuple": {"tap/handshake", "tun/flow", "tun/packet"},

		"stack": {
			"stack/affinity", "stack/budget", "stack/clientpath", "stack/dial", "stack/egress",
			"stack/farseq", "stack/gate", "stack/inspect", "stack/linger", "stack/nat",
			"stack/nat/mappings", "stack/netstack", "stack/peek", "stack/probe", "stack/race", "stack/resolver", "stack/sched",
			"stack/sockmem", "tun", "tun/flow", "tun/packet", "tun/raw",
		},
		"stack/clientpath": {"tun", "tun/packet"},
		"stack/dial":       {"stack/egress", "stack/virtual", "tun/flow", "tun/packet", "tun/raw"},
		"stack/egress":     {"tun/flow", "tun/packet"},
		"stack/farseq":     {"stack/sockmem"},
		"stack/gate":       {"stack/inspect", "stack/peek", "stack/resolver", "tun/flow"},
		"stack/inspect":    {"tun/flow"},
		"stack/linger":     {"stack/budget", "stack/dial", "stack/sockmem", "tun/raw"},
		"stack/names":      {"tun/flow"},
		"stack/nat": {
			"stack/affinity", "stack/dial", "stack/egress", "stack/inspect", "stack/nat/flows",
			"stack/nat/gso", "stack/nat/hostsock", "stack/nat/mappings", "stack/nat/rawecho", "stack/sched",
			"stack/sockmem", "tun", "tun/flow", "tun/packet",
		},
		"stack/nat/flows": {
			"stack/inspect", "stack/nat/gso", "stack/nat/hostsock", "stack/nat/mappings",
			"tun/flow",
		},
		"stack/nat/gso":      {"tun", "tun/packet"},
		"stack/nat/hostsock": {"stack/dial", "stack/sockmem", "tun/packet", "tun/raw"},
		"stack/nat/rawecho": {
			"stack/dial", "stack/nat/hostsock", "stack/nat/mappings", "stack/sched",
			"stack/sockmem", "tun/packet",
		},
		"stack/netstack": {"tun", "tun/packet"},
		"stack/peek":     {"stack/budget", "stack/inspect", "tun/flow"},
		"stack/probe":    {"stack/netstack", "stack/sockmem", "tun", "tun/packet"},
		"stack/race":     {"stack/dial", "stack/sched", "tun/packet"},
		"stack/resolver": {"stack/inspect", "stack/virtual"},
		"stack/sched":    {"tun/raw"},
		"stack/sockmem":  {"tun/raw"},

		"cmd/internal/attempt": {
			"cmd/internal/record", "cmd/internal/terminal", "stack/egress", "tun/flow",
		},
		"cmd/internal/audit": {
			"cmd/internal/chain", "cmd/internal/config", "cmd/internal/format",
			"cmd/internal/logfile", "cmd/internal/record", "tap/capture", "tap/handshake",
			"tap/tcpdump", "tun/flow",
		},
		"cmd/internal/audit/remote": {
			"cmd/internal/audit", "cmd/internal/hint", "cmd/internal/recent", "cmd/internal/record",
			"cmd/internal/record/compact", "cmd/internal/ring", "cmd/internal/sent", "tap/handshake", "tun/flow",
		},
		"cmd/internal/sent":      {"tun/flow"},
		"cmd/internal/sockets":   {"stack/farseq", "tun/raw"},
		"cmd/internal/blackhole": {"cmd/internal/record", "tun/flow", "tun/packet"},
		"cmd/internal/bench":     {"cmd/internal/hint"},
		"cmd/internal/chain": {
			"cmd/internal/config", "cmd/internal/hint", "cmd/internal/logfile",
			"cmd/internal/record",
		},
		"cmd/internal/config": {
			"cmd/internal/hint", "cmd/internal/record/schema", "configs", "stack/egress", "tap/policy", "tap/tcpdump", "tun",
			"tun/flow", "tun/packet", "tun/route",
		},
		"cmd/internal/demo": {
			"cmd/internal/audit", "cmd/internal/config", "cmd/internal/fleet",
			"cmd/internal/fleet/otlp", "cmd/internal/fleet/victorialogs", "cmd/internal/hint",
			"cmd/internal/keeper", "cmd/internal/namespace", "tap/handshake",
		},
		"cmd/internal/filter": {"cmd/internal/format", "cmd/internal/hint", "tap/handshake"},
		"cmd/internal/fleet": {
			"cmd/internal/follow", "cmd/internal/logfile", "cmd/internal/record",
		},
		"cmd/internal/fleet/connect": {
			"cmd/internal/config", "cmd/internal/fleet", "cmd/internal/fleet/jetstream",
			"cmd/internal/fleet/otlp", "cmd/internal/fleet/victorialogs",
		},
		"cmd/internal/fleet/fleettest": {"configs", "tun/tuntest"},
		"cmd/internal/fleet/jetstream": {"cmd/internal/fleet", "cmd/internal/fleet/otlp"},
		"cmd/internal/fleet/otlp":      {"cmd/internal/fleet"},
		"cmd/internal/fleet/proof": {
			"cmd/internal/chain", "cmd/internal/fleet", "cmd/internal/fleet/search",
			"cmd/internal/hint", "cmd/internal/record",
		},
		"cmd/internal/fleet/resend": {
			"cmd/internal/fleet", "cmd/internal/logfile", "cmd/internal/record",
		},
		"cmd/internal/fleet/roster": {
			"cmd/internal/fleet", "cmd/internal/fleet/proof", "cmd/internal/fleet/search",
			"cmd/internal/fleet/victorialogs", "cmd/internal/record",
		},
		"cmd/internal/fleet/routerlog": {
			"cmd/internal/audit", "cmd/internal/config", "cmd/internal/fleet",
			"cmd/internal/follow", "cmd/internal/record", "cmd/internal/record/recordtest",
			"tap/handshake", "tun/flow",
		},
		"cmd/internal/fleet/search": {
			"cmd/internal/config", "cmd/internal/filter", "cmd/internal/fleet",
			"cmd/internal/fleet/connect", "cmd/internal/fleet/victorialogs", "cmd/internal/hint",
			"cmd/internal/query", "cmd/internal/record",
		},
		"cmd/internal/fleet/shipping": {
			"cmd/internal/audit", "cmd/internal/config", "cmd/internal/fleet",
			"cmd/internal/fleet/connect", "cmd/internal/fleet/roster", "cmd/internal/fleet/search",
			"tun/flow",
		},
		"cmd/internal/fleet/victorialogs": {
			"cmd/internal/filter", "cmd/internal/fleet", "cmd/internal/fleet/otlp",
			"cmd/internal/hint", "cmd/internal/record",
		},
		"cmd/internal/follow": {"cmd/internal/logfile", "cmd/internal/record"},
		"cmd/internal/format": {
			"cmd/internal/record", "cmd/internal/terminal", "cmd/internal/version",
			"tap/handshake", "tun/flow",
		},
		"cmd/internal/hint": {"cmd/internal/terminal"},
		"cmd/internal/host": {
			"cmd/internal/config", "cmd/internal/hint", "cmd/internal/hostfile",
			"cmd/internal/limits", "tun/route",
		},
		"cmd/internal/hostfile": {"stack/egress"},
		"cmd/internal/isolate":  {"cmd/internal/seccomp"},
		"cmd/internal/keeper": {
			"cmd/internal/attempt", "cmd/internal/audit", "cmd/internal/audit/remote",
			"cmd/internal/channel", "cmd/internal/config", "cmd/internal/fleet/shipping",
			"cmd/internal/hint", "cmd/internal/host", "cmd/internal/hostfile",
			"cmd/internal/isolate", "cmd/internal/limits", "cmd/internal/logfile",
			"cmd/internal/logger", "cmd/internal/memory", "cmd/internal/message",
			"cmd/internal/namespace", "cmd/internal/owner", "cmd/internal/recent",
			"cmd/internal/record", "cmd/internal/ring", "cmd/internal/sent", "cmd/internal/sockets",
			"cmd/internal/web", "stack/nat/hostsock", "stack/resolver", "tun", "tun/flow",
			"tun/route",
		},
		"cmd/internal/limits":  {"cmd/internal/hint"},
		"cmd/internal/logfile": {"cmd/internal/hint"},
		"cmd/internal/logger": {
			"cmd/internal/config", "cmd/internal/hint", "cmd/internal/journal",
			"cmd/internal/terminal",
		},
		"cmd/internal/manual": {"configs"},
		"cmd/internal/message": {
			"cmd/internal/attempt", "cmd/internal/channel", "cmd/internal/config",
			"cmd/internal/fleet", "cmd/internal/hostfile", "cmd/internal/namespace",
			"cmd/internal/record", "cmd/internal/ring", "cmd/internal/sent", "stack/virtual",
			"tun/flow",
		},
		"cmd/internal/namespace": {
			"cmd/internal/channel", "cmd/internal/hint", "cmd/internal/hostfile", "cmd/internal/owner", "cmd/internal/seccomp", "tun",
			"tun/route",
		},
		"cmd/internal/owner":   {"cmd/internal/record", "tun/flow", "tun/raw"},
		"cmd/internal/pathmtu": {"cmd/internal/record", "stack/dial"},
		"cmd/internal/query": {
			"cmd/internal/filter", "cmd/internal/follow", "cmd/internal/format", "cmd/internal/hint",
			"cmd/internal/logfile", "cmd/internal/record", "cmd/internal/terminal", "stack/egress",
			"tap/tcpdump", "tun/flow",
		},
		"cmd/internal/recent": {
			"cmd/internal/format", "cmd/internal/logfile", "cmd/internal/record", "cmd/internal/record/compact",
			"cmd/internal/terminal", "tun/flow",
		},
		"cmd/internal/record/compact": {
			"cmd/internal/record", "tap/handshake", "tun/flow", "tun/packet",
		},
		"cmd/internal/record": {"cmd/internal/logfile", "tap/handshake", "tap/tcpdump", "tun/flow"},
		"cmd/internal/record/recordtest": {
			"cmd/internal/record/schema", "tap/handshake", "tap/tcpdump",
		},
		"cmd/internal/ring": {"tun/raw"},
		"cmd/internal/router": {
			"cmd/internal/attempt", "cmd/internal/audit", "cmd/internal/audit/remote",
			"cmd/internal/blackhole", "cmd/internal/channel", "cmd/internal/config",
			"cmd/internal/fleet", "cmd/internal/hint", "cmd/internal/hostfile",
			"cmd/internal/isolate", "cmd/internal/limits", "cmd/internal/logger",
			"cmd/internal/memory", "cmd/internal/message", "cmd/internal/namespace",
			"cmd/internal/owner", "cmd/internal/pathmtu", "cmd/internal/record",
			"cmd/internal/ring", "cmd/internal/sockets", "cmd/internal/version", "cmd/internal/web",
			"stack", "stack/dial", "stack/egress", "stack/names", "stack/nat/mappings",
			"stack/resolver", "stack/virtual", "tap", "tap/handshake", "tap/policy", "tun",
			"tun/flow", "tun/packet", "tun/route",
		},
		"cmd/internal/top": {
			"cmd/internal/filter", "cmd/internal/format", "cmd/internal/hint",
			"cmd/internal/record", "cmd/internal/terminal", "cmd/internal/web", "tap/handshake",
			"tun/flow",
		},
		"cmd/internal/web": {
			"cmd/internal/channel", "cmd/internal/config", "cmd/internal/filter",
			"cmd/internal/fleet", "cmd/internal/format", "cmd/internal/hint",
			"cmd/internal/isolate", "cmd/internal/limits", "cmd/internal/logger",
			"cmd/internal/memory", "cmd/internal/recent", "cmd/internal/record",
			"cmd/internal/record/compact", "cmd/internal/terminal", "tap/handshake",
		},

		"cmd/syntap": {
			"cmd/internal/attempt", "cmd/internal/audit", "cmd/internal/chain",
			"cmd/internal/config", "cmd/internal/demo", "cmd/internal/filter", "cmd/internal/fleet",
			"cmd/internal/fleet/connect", "cmd/internal/fleet/proof", "cmd/internal/fleet/resend",
			"cmd/internal/fleet/roster", "cmd/internal/fleet/search", "cmd/internal/hint",
			"cmd/internal/host", "cmd/internal/journal", "cmd/internal/keeper",
			"cmd/internal/limits", "cmd/internal/logfile", "cmd/internal/logger",
			"cmd/internal/manual", "cmd/internal/namespace", "cmd/internal/pathmtu",
			"cmd/internal/query", "cmd/internal/record", "cmd/internal/record/schema",
			"cmd/internal/router", "cmd/internal/terminal", "cmd/internal/top",
			"cmd/internal/version", "cmd/internal/web", "tap", "tap/capture", "tap/handshake",
			"tap/policy", "tap/tcpdump", "tun/flow", "tun/packet",
		},
	}
}

// owners lists for each library the packages that import it.
func owners() map[string][]string {
	return map[string][]string{
		"charm.land/bubbletea":         {"cmd/internal/top"},
		"charm.land/lipgloss":          {"cmd/internal/top"},
		"github.com/coreos/go-systemd": {"cmd/internal/journal", "cmd/internal/keeper"},
		"github.com/google/btree":      {"stack/netstack"},
		"github.com/google/nftables":   {"tun/nft"},
		"github.com/gopacket/gopacket": {}, // tests compare with it
		"github.com/klauspost/compress": {
			"cmd/internal/fleet/jetstream", "cmd/internal/fleet/otlp",
			"cmd/internal/fleet/victorialogs", "cmd/internal/logfile", "tap/capture",
		},
		"github.com/mdlayher/netlink":  {"tun/nft"},
		"github.com/nats-io":           {"cmd/internal/fleet/jetstream"},
		"github.com/prometheus":        {"cmd/internal/web"},
		"github.com/santhosh-tekuri":   {"cmd/internal/record/recordtest"},
		"github.com/spf13":             {"cmd/syntap"},
		"github.com/vishvananda/netns": {"cmd/internal/bench", "tun/tuntest"},
		"go.yaml.in/yaml":              {"cmd/internal/config"},
		"golang.zx2c4.com/wireguard":   {"tun"},
		"kernel.org/pub":               {"cmd/internal/isolate"},

		// Of netstack, stack needs the endpoint of a connection alone.
		"gvisor.dev/gvisor":                   {"stack", "stack/netstack"},
		"gvisor.dev/gvisor/pkg/buffer":        {"stack/netstack"},
		"gvisor.dev/gvisor/pkg/tcpip/header":  {"stack/netstack"},
		"gvisor.dev/gvisor/pkg/tcpip/network": {"stack/netstack"},
		"gvisor.dev/gvisor/pkg/tcpip/stack":   {"stack/netstack"},

		"github.com/vishvananda/netlink": {
			"cmd/internal/namespace", "cmd/internal/pathmtu", "cmd/internal/router", "tun/route",
			"tun/tuntest",
		},
		"github.com/sirupsen/logrus": {
			"cmd/internal/audit", "cmd/internal/chain", "cmd/internal/demo", "cmd/internal/fleet",
			"cmd/internal/fleet/routerlog", "cmd/internal/fleet/shipping", "cmd/internal/host",
			"cmd/internal/hostfile", "cmd/internal/keeper", "cmd/internal/logfile",
			"cmd/internal/logger", "cmd/internal/router", "cmd/internal/web", "stack", "stack/nat",
		},
	}
}

// TestArrows looks at the imports of all files but tests, also of files for other systems than this
// one.
func TestArrows(t *testing.T) {
	t.Parallel()
	const root = "../.."
	found := make(map[string]map[string]bool) // imports by package
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
		if found[pkg] == nil {
			found[pkg] = make(map[string]bool)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[pkg][imported] = true
			if err := checkImport(pkg, imported); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range found {
		if err := checkName(pkg); err != nil {
			t.Error(err)
		}
	}
	for pkg, all := range mayImport() {
		for _, arrow := range all {
			if !found[pkg]["syntap/"+arrow] {
				t.Errorf("no file of %s imports %s: take the arrow out of the table", pkg, arrow)
			}
		}
	}
	for library, all := range owners() {
		for _, pkg := range all {
			inLibrary := func(imported string) bool { return within(imported, library) }
			if !slices.ContainsFunc(slices.Collect(maps.Keys(found[pkg])), inLibrary) {
				t.Errorf("no file of %s imports %s: take it out of the table", pkg, library)
			}
		}
	}
}

// checkImport refuses an import that goes against the arrows. The package is named by its folder.
func checkImport(pkg, imported string) error {
	for library, packages := range owners() {
		if within(imported, library) && !slices.Contains(packages, pkg) {
			return fmt.Errorf("%s imports %s, which only %s may", pkg, imported, packages)
		}
	}
	ours, ok := strings.CutPrefix(imported, "syntap/")
	if ok && !slices.Contains(mayImport()[pkg], ours) {
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
		{"tun/route", "github.com/vishvananda/netlink/nl", true},
		{"tap", "syntap/tun", true},
		{"tap", "syntap/stack", false},
		{"stack", "syntap/tun/route", false},
		{"cmd/other", "syntap/tun", false}, // not in the table
		{"cmd/internal/config", "go.yaml.in/yaml/v4", true},
		{"cmd/internal/keeper", "go.yaml.in/yaml/v4", false},
		{"stack/nat", "gvisor.dev/gvisor/pkg/waiter", false},
		{"stack", "gvisor.dev/gvisor/pkg/tcpip/stack", false},
	}
	for _, tt := range tests {
		if err := checkImport(tt.pkg, tt.imported); (err == nil) != tt.ok {
			t.Errorf("checkImport(%q, %q) = %v, want ok %t", tt.pkg, tt.imported, err, tt.ok)
		}
	}
}
