package e2e_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/tuntest"
)

// TestLearn has a command run freely, and then under the policy that was learned of it.
func TestLearn(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "ping", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\noptions timeout:30\n") // each query counts
	exec := func(flags ...string) []string {
		line := append([]string{binary, "exec", "-o", dir.path("log")}, flags...)
		return dir.asking(append(line, "--", "sh", "-c")...)
	}
	const curl = "curl -4 -s -m 60 "
	work := []step{
		{curl + "http://www.example.com", "0"},
		{curl + "http://One.example.com.", "0"},
		{curl + "http://one.example.com", "0"},
		{curl + "http://two.example.com", "0"},
		{curl + "http://cdn.example.net:443", "0"},
		{curl + "http://cdn.example.net:81", "0"},
		{curl + "http://" + addrOfShop + ":81", "0"},
		{"ping -n -c1 -w30 alias.example.com", "0"},
		{"dig +tries=1 +time=60 far.example.com | grep -q NOERROR", "0"},
	}
	dir.write(t, "policy.yaml", strings.Repeat("# an older one\n", 1000))
	got := steps(t, lab.Router, exec("--learn", dir.path("policy.yaml")), work)
	if want := "syntap: 5 rules learned; hint: --policy " + dir.path("policy.yaml") + "\n"; got.stderr != want {
		t.Errorf("standard error = %q, want %q", got.stderr, want)
	}
	policy, err := os.ReadFile(dir.path("policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rules, _ := strings.Cut(string(policy), "egress:\n")
	want := `  default: deny
  rules:
    # 4 by curl, in the place of one.example.com, two.example.com, www.example.com
    - {name: "*.example.com", ports: 80, proto: tcp, verdict: allow}
    # 1 by ping
    - {name: "alias.example.com", proto: icmp, verdict: allow}
    # 2 by curl
    - {name: "cdn.example.net", ports: [81, 443], proto: tcp, verdict: allow}
    # 1 by dig, resolved and not connected to
    - {name: "far.example.com", ports: 53, verdict: allow}
    # 1 by curl, a literal address: there was no name that it could be known by
    - {dst: "` + addrOfShop + `", ports: 81, proto: tcp, verdict: allow}
`
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}

	got = steps(t, lab.Router, exec("--policy", dir.path("policy.yaml")), append(work,
		step{curl + "http://cdn.example.net", "7"},
		step{curl + "http://" + addrOfShop, "7"},
		step{curl + "http://far.example.com:81", "7"}))
	if !strings.HasPrefix(got.stderr, "syntap: 3 denied: cdn.example.net:80 (curl), ") {
		t.Errorf("standard error = %q, want the three denials", got.stderr)
	}

	// A rule that denies holds, and no wildcard has the name that it has.
	got = steps(t, lab.Router, exec("--deny", "two.example.com", "--learn", dir.path("policy.yaml")), []step{
		{curl + "http://www.example.com", "0"},
		{curl + "http://one.example.com", "0"},
		{curl + "http://alias.example.com", "0"},
		{curl + "http://two.example.com", "6"},
	})
	if !strings.Contains(got.stderr, "1 denied: two.example.com (curl); hint: leave out --deny two.example.com\n") ||
		!strings.Contains(got.stderr, "3 rules learned") {
		t.Errorf("standard error = %q, want a denial and three rules", got.stderr)
	}
}

// TestLearnOfNone has no command to learn from: a policy stays, and there is no new one.
func TestLearnOfNone(t *testing.T) {
	t.Parallel()
	requireTools(t, "unshare")
	lab := tuntest.NewLab(t)
	dir := newEtc(t, "")
	const policy = "egress: {default: deny, rules: [{name: www.example.com, verdict: allow}]}\n"
	dir.write(t, "policy.yaml", policy)
	for _, name := range []string{"policy.yaml", "new.yaml"} {
		got := command(t, lab.Router, "unshare", dir.exec("--learn", dir.path(name), "--", "missing")...)
		if got.status != 127 || strings.Contains(got.stderr, "learned") {
			t.Errorf("a missing command: %+v", got)
		}
	}
	if got, err := os.ReadFile(dir.path("policy.yaml")); err != nil || string(got) != policy {
		t.Errorf("the policy is %q, %v", got, err)
	}
	if _, err := os.Stat(dir.path("new.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a new policy: %v", err)
	}
}
