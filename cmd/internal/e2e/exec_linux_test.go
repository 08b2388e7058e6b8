package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// TestExec runs one command through the router, as the README shows it.
func TestExec(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nc")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	before := lab.Router.State()
	for i, url := range urls() {
		got := command(t, lab.Router, binary, "exec", "--", "curl", "-sS", url)
		want := "hello, " + []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i] + "\n"
		if got.status != 0 || got.stdout != want {
			t.Errorf("exec curl %s: %+v, want exit status 0 and %q", url, got, want)
		}
		lines := distinct(got.stderr)
		if len(lines) != 3 || !strings.Contains(lines[0], ": S ") || !strings.Contains(lines[1], " ack ") || !strings.Contains(lines[2], ": . ack ") {
			t.Errorf("exec curl %s printed to stderr:\n%swant the three lines of a handshake", url, got.stderr)
		}
	}
	for _, host := range addresses() {
		file := filepath.Join(t.TempDir(), "handshakes.txt")
		got := command(t, lab.Router, binary, "exec", "--format", "modern", "-o", file, "--", "nc", "-z", host, "81")
		if got != (result{status: 1}) {
			t.Errorf("exec nc to a closed port of %s: %+v, want only the command's exit status 1", host, got)
		}
		lines, err := os.ReadFile(file)
		if err != nil || len(distinct(string(lines))) != 2 || !strings.Contains(string(lines), "Flags [R.]") {
			t.Errorf("exec nc to a closed port of %s logged %q (%v), want a SYN and a RST", host, lines, err)
		}
	}
	if got := command(t, lab.Router, binary, "exec", "--", "sh", "-c", "exit 42"); got.status != 42 || got.stderr != "" {
		t.Errorf("exec of a command that exits with 42: %+v", got)
	}
	if after := lab.Router.State(); after != before {
		t.Errorf("exec changed its host:\n%s\nwas\n%s", after, before)
	}
}

// distinct returns the lines of segments, classic or modern, without those that an end has sent
// again because this machine has stalled.
func distinct(lines string) (all []string) {
	seen := make(map[string]bool)
	for line := range strings.Lines(lines) {
		numbers, _, _ := strings.Cut(line, " win ") // behind them the time, which differs
		if !seen[numbers] {
			all = append(all, strings.TrimSuffix(line, "\n"))
		}
		seen[numbers] = true
	}
	return all
}

// TestExecNested runs a command in a session within a session: both routers show the same
// handshake, the inner one's client being the command and the outer one's the inner router.
func TestExecNested(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	for i, url := range urls() {
		got := command(t, lab.Router, binary, "exec", "--", binary, "exec", "--", "curl", "-sS", url)
		want := "hello, " + []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i] + "\n"
		if got.status != 0 || got.stdout != want || strings.Count(strings.Join(distinct(got.stderr), "\n"), ": S ") != 4 {
			t.Errorf("exec exec curl %s: %+v, want exit status 0, %q and two handshakes", url, got, want)
		}
	}
}

// TestExecHostLoopback reaches a server on the host's loopback by the gateway's address, when told
// that it may.
func TestExecHostLoopback(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	for gateway, loopback := range map[string]string{"198.18.0.2": "127.0.0.1", "[fd53:7974::2]": "[::1]"} {
		l := lab.Router.Listen("tcp", loopback+":80")
		go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, loopback) }))
		if got := command(t, lab.Router, binary, "exec", "--host-loopback", "--", "curl", "-sS", "http://"+gateway); got.status != 0 || got.stdout != loopback {
			t.Errorf("exec --host-loopback curl http://%s: %+v, want the server on %s", gateway, got, loopback)
		}
		if got := command(t, lab.Router, binary, "exec", "--", "curl", "-sS", "http://"+gateway); got.status != 7 || got.stdout != "" {
			t.Errorf("exec curl http://%s: %+v, want exit status 7, not connected", gateway, got)
		}
	}
}

// TestHostLoopbackByRules has rules decide on the gateway's address as on others, also those that
// were learned.
func TestHostLoopbackByRules(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	for gateway, loopback := range map[string]string{"198.18.0.2": "127.0.0.1", "[fd53:7974::2]": "[::1]"} {
		go http.Serve(lab.Router.Listen("tcp", loopback+":80"), http.NotFoundHandler())
		for _, tt := range []struct {
			flags []string
			want  int // exit status of curl
		}{
			{[]string{"--allow", "www.example.com"}, 7},
			{[]string{"--allow", gateway + ":81"}, 7},
			{[]string{"--allow", gateway + ":80"}, 0},
			{[]string{"--deny", gateway}, 7},
			{[]string{"--deny", "www.example.com"}, 0},
			{[]string{"--learn", policy}, 0},
			{[]string{"--policy", policy}, 0},
			{[]string{"--policy", policy, "--deny", gateway}, 7},
		} {
			line := append([]string{"exec", "--host-loopback"}, tt.flags...)
			got := command(t, lab.Router, binary, append(line, "--", "curl", "-sS", "-m", "60", "http://"+gateway)...)
			if got.status != tt.want {
				t.Errorf("%q: %+v, want %d", tt.flags, got, tt.want)
			}
			if hint := "--allow " + gateway + ":80"; tt.flags[0] == "--allow" && tt.want != 0 && !strings.Contains(got.stderr, hint) {
				t.Errorf("%q: %q, want a hint at %q", tt.flags, got.stderr, hint)
			}
		}
	}
}
