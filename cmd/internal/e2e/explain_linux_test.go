package e2e_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/tuntest"
)

// TestExplain has a command try to reach more than it may, and follows the advice.
func TestExplain(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\noptions timeout:30\n") // each query counts
	exec := func(allow ...string) []string {
		line := append([]string{binary, "exec", "-o", dir.path("log"), "--explain", dir.path("explain.json")}, allow...)
		return dir.asking(append(line, "--", "sh", "-c")...)
	}
	const curl = "curl -4 -s -m 60 "
	got := steps(t, lab.Router, exec("--deny", "www.example.com:81", "--allow", "www.example.com:80-81"), []step{
		{curl + "http://www.example.com", "0"},
		{curl + "http://two.example.com", "6"},
		{curl + "http://www.example.com:81", "7"},
		{curl + "http://www.example.com:443", "7"},
		{curl + "http://www.example.com:443", "7"},
		{curl + "http://" + addrOfShop, "7"},
		{"dig +tcp +tries=1 +time=60 tcp.example.com", "0"},
	})
	const line = "syntap: 5 denied: two.example.com (curl), www.example.com:81 (curl), " +
		"www.example.com:443 (curl, 2 times), " + addrOfShop + ":80 (curl), … (--explain FILE has all); " +
		"hint: --allow two.example.com --allow www.example.com:443 --allow " + addrOfShop + ":80, " +
		"leave out --deny www.example.com:81\n"
	if got.stderr != line {
		t.Errorf("standard error (-want +got):\n%s", cmp.Diff(line, got.stderr))
	}
	checkExplained(t, dir.path("explain.json"))

	got = steps(t, lab.Router, exec("--allow", "www.example.com:443", "--allow", addrOfShop+":80",
		"--allow", "tcp.example.com"), []step{
		{curl + "http://www.example.com:443", "0"},
		{curl + "http://" + addrOfShop, "0"},
		{"dig +tcp +tries=1 +time=60 tcp.example.com", "0"},
	})
	if got.stderr != "" {
		t.Errorf("nothing was denied, but standard error has %s", got.stderr)
	}
}

// explained are keys of a line of --explain.
type explained struct{ Proto, Name, Dst, Process, Target, Rule, Reason, Flag, Hint string }

// explainedIn returns the lines of a file, without the address of what has a name.
func explainedIn(t *testing.T, file string) (all []explained) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e explained
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		e.Dst = "" // of a name any address
		all = append(all, e)
	}
	return all
}

func checkExplained(t *testing.T, file string) {
	t.Helper()
	const no = "no rule allows it"
	www := explained{
		Proto: "tcp", Name: "www.example.com", Process: "curl", Target: "www.example.com:443", Rule: "default",
		Reason: no, Flag: "--allow www.example.com:443",
	}
	want := []explained{
		{"dns", "two.example.com", "", "curl", "two.example.com", "default", no, "--allow two.example.com", ""},
		{
			"tcp", "www.example.com", "", "curl", "www.example.com:81", "--deny www.example.com:81",
			"--deny www.example.com:81 forbids it", "", "leave out --deny www.example.com:81",
		},
		www, www,
		{"tcp", "", "", "curl", addrOfShop + ":80", "default", no, "--allow " + addrOfShop + ":80", ""},
		{"dns", "tcp.example.com", "", "dig", "tcp.example.com", "default", no, "--allow tcp.example.com", ""},
	}
	if diff := cmp.Diff(want, explainedIn(t, file)); diff != "" {
		t.Errorf("explanations (-want +got):\n%s", diff)
	}
}
