package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// binary is the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	tuntest.Reexec()
	os.Exit(testBuilt(m))
}

func testBuilt(m *testing.M) int {
	dir, err := os.MkdirTemp("", "syntap-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "syntap")
	if err := os.Setenv("RUNTIME_DIRECTORY", filepath.Join(dir, "run")); err != nil { // of the journals
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "syntap/cmd/syntap") // as make does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build syntap: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// requireTools skips the test where a tool it drives is not installed; in a run that must be
// complete it fails.
func requireTools(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("SYNTAP_REQUIRE_NETNS") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("needs %s", name)
	}
}

// router is a running "syntap run".
type router struct {
	*tuntest.Process
	dir     string // of its config and logs
	checked bool   // the schema is checked when the test ends
	hostile bool   // the test makes findings of unrecorded flows, which no other may have
}

// everything routes all traffic of the host; DIR stands for the router's directory.
const everything = `
tun: {name: syntap0}
route: {include: [0.0.0.0/0, "::/0"]}
tap:
  log:
    - {format: json, path: DIR/handshakes.json}
    - {format: modern, path: DIR/handshakes.txt}
`

// run starts a router in ns and waits until it routes packets to the lab's server into the
// interface named.
func run(t *testing.T, ns *tuntest.Namespace, device, config string) *router {
	t.Helper()
	r := &router{dir: t.TempDir()}
	r.Process = ns.Start(binary, "run", "-c", r.writeConfig(t, config))
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		r.wait(t, "a route to "+host, func() bool { return enters(ns, host, device) })
	}
	return r
}

// writeConfig writes the config of a router that is about to start. When the test ends, all records
// in its JSON logs have to fit the schema.
func (r *router) writeConfig(t *testing.T, config string) (path string) {
	t.Helper()
	if !r.checked {
		r.checked = true
		t.Cleanup(func() { r.checkRecords(t) }) // when the process, which starts later, is gone
	}
	path = filepath.Join(r.dir, "syntap.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(config, "DIR", r.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// routesTo reports whether the way to both addresses of the lab's server goes through an interface:
// the rule of IPv6 comes a moment after that of IPv4.
func routesTo(lab *tuntest.Lab, device string) bool {
	return enters(lab.Router, tuntest.ServerAddr4, device) && enters(lab.Router, tuntest.ServerAddr6, device)
}

// enters reports whether the host's packets to an address enter a TUN: by a route of the
// operator's, or by the mark that the router's nftables table gives, which exists then.
func enters(ns *tuntest.Namespace, address, device string) bool {
	leads := func(more ...string) bool {
		out := output(ns, append([]string{"ip", "-oneline", "route", "get", address}, more...)...)
		return strings.Contains(out, " dev "+device+" ")
	}
	family := "-4"
	if strings.Contains(address, ":") {
		family = "-6"
	}
	for _, m := range regexp.MustCompile(`fwmark (0x[0-9a-f]+) lookup`).FindAllStringSubmatch(output(ns, "ip", family, "rule"), -1) {
		if leads("mark", m[1]) && strings.Contains(output(ns, "nft", "list", "table", "inet", device), "meta mark set "+fmt.Sprintf("0x%08s", m[1][2:])) {
			return true
		}
	}
	return leads()
}

// output returns a command's output; "" if it fails.
func output(ns *tuntest.Namespace, command ...string) string {
	ctx, cancel := timeout()
	defer cancel()
	out, err := ns.Command(ctx, command[0], command[1:]...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// wait waits for a condition that only a living router can bring about.
func (r *router) wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tuntest.Wait(t, what, func() bool {
		select {
		case <-r.Done():
			t.Fatalf("router ended while the test waited for %s: %v", what, r.Err())
		default:
		}
		return cond()
	})
}

// stop ends the router by a signal and checks that it ended well.
func (r *router) stop(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := r.Signal(sig); err != nil {
		t.Fatalf("signal %v: %v", sig, err)
	}
	r.ended(t, sig.String())
	if err := r.Err(); err != nil {
		t.Errorf("router ended by signal %v with %v, want exit status 0", sig, err)
	}
}

// ended waits for the router's end.
func (r *router) ended(t *testing.T, reason string) {
	t.Helper()
	select {
	case <-r.Done():
	case <-time.After(tuntest.Patience):
		t.Fatalf("router is alive %v after %s", tuntest.Patience, reason)
	}
}

// routerPID returns the process of a run that reads packets: the one that its keeper has started.
func (r *router) routerPID(t *testing.T) int {
	t.Helper()
	if pid := routerOf(r.PID()); pid > 0 {
		return pid
	}
	t.Fatalf("process %d has no router", r.PID())
	return 0
}

// routerOf returns the router of a keeper; 0 where it has none.
func routerOf(keeper int) int { return childOf(keeper, "syntap-router") }

// childOf returns the process of that name which a keeper has started; 0 where there is none.
func childOf(keeper int, name string) int {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", keeper))
	for _, list := range lists {
		children, _ := os.ReadFile(list) // of a thread that may have ended
		for child := range strings.FieldsSeq(string(children)) {
			command, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if pid, err := strconv.Atoi(child); err == nil && strings.HasPrefix(string(command), name+"\x00") {
				return pid
			}
		}
	}
	return 0
}

// read returns the whole content of one of the router's files; one that does not exist is empty.
func (r *router) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}
