package attempt_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// learn returns the policy of connections to names, after it was read as one.
func learn(t *testing.T, attempts ...attempt.Attempt) string {
	t.Helper()
	l := attempt.NewLearned()
	for i := range attempts {
		l.Add(&attempts[i])
	}
	text, n := l.Policy([]string{"sh", "-c", "a\nb: [\x1b"}, time.Now())
	policy, err := config.ParsePolicy("policy.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if len(policy.Rules) != n {
		t.Errorf("%d rules, told %d, in\n%s", len(policy.Rules), n, text)
	}
	return text
}

func to(name string, port uint16) attempt.Attempt {
	server := netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1"), port)
	return attempt.Attempt{Name: name, Server: server, Owner: &record.Owner{Process: "x\n- y"}}
}

// TestWildcards has three siblings each. They share an owner, or a host of many customers, or not
// their ports.
func TestWildcards(t *testing.T) {
	t.Parallel()
	for domain, wide := range map[string]bool{
		"example.com":             true,
		"cdn.example.co.uk":       true,
		"someone.github.io":       true,
		"com":                     false,
		"co.uk":                   false,
		"github.io":               false,
		"s3.amazonaws.com":        false,
		"cloudfront.net":          false,
		"compute.amazonaws.com":   false,
		"blob.core.windows.net":   false,
		"intern":                  false, // unknown
		"denied.example.net":      false,
		"other-ports.example.com": false,
	} {
		var all []attempt.Attempt
		for i := range uint16(3) {
			a := to(fmt.Sprintf("a%d.%s", i, domain), 443)
			if strings.HasPrefix(domain, "other-ports") {
				a = to(fmt.Sprintf("a%d.%s", i, domain), 443+i)
			}
			all = append(all, a)
		}
		denied := to("b.denied.example.net", 443)
		denied.Decision = &flow.Decision{Deny: true}
		text := learn(t, append(all, denied)...)
		if got := strings.Contains(text, `"*.`+domain+`"`); got != wide {
			t.Errorf("%s: wildcard = %t, want %t, in\n%s", domain, got, wide, text)
		}
		if text := learn(t, all[:2]...); strings.Contains(text, "*") {
			t.Errorf("%s: two siblings have a wildcard:\n%s", domain, text)
		}
	}
}

// TestHostileNames has names that no rule takes, and more servers than a policy.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"*", "*.com", "a\nb", `a", verdict: allow}`, "\xff", "127.0.0.1", strings.Repeat("a", 300), "a..b", "#",
	} {
		if text := learn(t, to(name, 443)); !strings.Contains(text, `- {dst: "2001:db8::1", ports: 443, proto: tcp,`) {
			t.Errorf("%q:\n%s", name, text)
		}
	}
	var all []attempt.Attempt
	for i := range 3000 {
		all = append(all, to(fmt.Sprintf("a.%d.example.com", i), 443))
	}
	if text := learn(t, all...); !strings.Contains(text, "# It lacks 952 attempts") {
		t.Errorf("the policy does not tell that it lacks servers:\n%.500s", text)
	}
	if text := learn(t); !strings.Contains(text, "rules: []") {
		t.Errorf("nothing was learned, yet:\n%s", text)
	}
}

// TestPassiveFTP: the ports of another run's transfers are others.
func TestPassiveFTP(t *testing.T) {
	t.Parallel()
	text := learn(t, to("ftp.example.com", 21), to("ftp.example.com", 40109), to("ftp.example.com", 33823),
		to("www.example.com", 40109))
	for _, want := range []string{
		`{name: "ftp.example.com", ports: [21, 1024-65535], proto: tcp,`, `{name: "www.example.com", ports: 40109,`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
