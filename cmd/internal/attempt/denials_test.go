package attempt_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

func TestLineForPeople(t *testing.T) {
	t.Parallel()
	none := &flow.Decision{Deny: true, Rule: "default", Reason: "no rule allows it"}
	set := &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "egress.deny forbids it"}
	rule := &flow.Decision{Deny: true, Rule: "egress.rules[2]", Reason: "not here"}
	curl := &record.Owner{Process: "curl"}
	at := netip.MustParseAddrPort
	for _, test := range []struct {
		name    string
		attempt attempt.Attempt
		denies  bool
		want    string
	}{
		{
			"name",
			attempt.Attempt{Name: "Example.org.", Server: at("192.0.2.1:443"), Owner: curl, Decision: none},
			true, "1 denied: example.org:443 (curl); hint: --allow example.org:443",
		},
		{
			"IPv6 address",
			attempt.Attempt{Server: at("[2001:db8::1]:53"), Proto: flow.UDP, Decision: none},
			true, "1 denied: [2001:db8::1]:53/udp; hint: --allow [2001:db8::1]:53/udp",
		},
		{
			"echo",
			attempt.Attempt{Server: at("192.0.2.1:0"), Proto: flow.ICMP, Decision: none},
			true, "1 denied: 192.0.2.1/icmp; hint: --allow 192.0.2.1/icmp",
		},
		{
			"name that a shell reads",
			attempt.Attempt{Name: "$(reboot).example.org", Question: true, Decision: none},
			true, "1 denied: $(reboot).example.org; hint: its name cannot stand in a rule",
		},
		{
			"name with control characters",
			attempt.Attempt{Name: "a\x1b[2J\nb", Question: true, Decision: none},
			true, `1 denied: a\x1b[2j\nb; hint: its name cannot stand in a rule`,
		},
		{
			"name that is a prefix",
			attempt.Attempt{Name: "0.0.0.0/0", Question: true, Decision: none},
			true, "1 denied: 0.0.0.0/0; hint: its name cannot stand in a rule",
		},
		{
			"name that is an address",
			attempt.Attempt{Name: "127.0.0.1", Server: at("192.0.2.1:80"), Decision: none},
			true, "1 denied: 127.0.0.1:80; hint: its name cannot stand in a rule",
		},
		{
			"name with a port",
			attempt.Attempt{Name: "example.org:1-65535", Question: true, Decision: none},
			true, "1 denied: example.org:1-65535; hint: its name cannot stand in a rule",
		},
		{
			"name with a protocol",
			attempt.Attempt{Name: "example/tcp", Question: true, Decision: none},
			true, "1 denied: example/tcp; hint: its name cannot stand in a rule",
		},
		{
			"rebinding",
			attempt.Attempt{Name: "example.org", Server: at("127.0.0.1:80"), Decision: set},
			true, "1 denied: example.org:80; hint: --allow 127.0.0.1:80",
		},
		{
			"no name has the address",
			attempt.Attempt{Server: at("198.19.7.7:80"), Decision: &flow.Decision{Deny: true, Rule: "egress.names"}},
			true, "1 denied: 198.19.7.7:80; hint: the program must ask for the name again",
		},
		{
			"an allow would deny the rest",
			attempt.Attempt{Server: at("127.0.0.1:80"), Decision: set},
			false, "1 denied: 127.0.0.1:80; hint: egress.allow makes exceptions",
		},
		{
			"rule of a file",
			attempt.Attempt{Name: "example.org", Server: at("192.0.2.1:80"), Decision: rule},
			false, "1 denied: example.org:80; hint: put a rule that allows it ahead of egress.rules[2]",
		},
		{"allowed", attempt.Attempt{Server: at("192.0.2.1:80"), Decision: &flow.Decision{Rule: "default"}}, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := attempt.NewDenials(test.denies, nil)
			d.Add(&test.attempt)
			if got := d.String(); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// TestExplanationIsPrintable has a program with a name that speaks to terminals, which FILE may be.
func TestExplanationIsPrintable(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	d := attempt.NewDenials(true, &file)
	const name = "n\u009b31m\u202egpj\x7f\x1b]0;x\a"
	d.Add(&attempt.Attempt{
		Server: netip.MustParseAddrPort("192.0.2.1:80"), Decision: &flow.Decision{Deny: true, Rule: name, Reason: name},
		Owner: &record.Owner{Process: name, Exe: name, User: name},
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSuffix(file.String(), "\n")
	if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is not printable", line)
	}
	var e struct{ Process string }
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Process != name {
		t.Errorf("process %q, %v, want %q", e.Process, err, name)
	}
}

// stuck is a file that takes nothing until it is let go.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) {
	<-s
	return len(b), nil
}

// TestFullDisk has more denials than the file takes: none blocks, and the loss is told.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	file := make(stuck)
	d := attempt.NewDenials(true, file)
	a := attempt.Attempt{Time: time.Now(), Decision: &flow.Decision{Deny: true, Rule: "default"}}
	for i := range 10000 {
		a.Server = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i))
		d.Add(&a)
	}
	close(file)
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "denials are not explained") {
		t.Errorf("error = %v, want the loss", err)
	}
	if s := d.String(); !strings.HasPrefix(s, "over 1024 denied: 192.0.2.1:0, ") {
		t.Errorf("line = %q, want a bound", s)
	}
}
