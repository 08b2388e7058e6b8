package filter

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/hint"
	"syntap/tun/flow"
)

var now = time.Date(2026, 11, 24, 15, 30, 0, 0, time.FixedZone("", 3600))

// download is a connection that has ended, lookup a DNS query without an answer so far, and refused
// a connection of a client elsewhere.
func download() *format.Connection {
	opening := format.Record{
		Type: format.Handshake, Time: now.Add(-time.Hour), Outcome: "established", Verdict: "allow", Rule: "default", Host: "gate",
		Client: netip.MustParseAddrPort("192.0.2.1:40000"), Server: netip.MustParseAddrPort("203.0.113.2:443"),
		Name: "www.example.com", Names: []string{"cdn.example.net"}, SYNACKDelay: 5 * time.Millisecond,
		Owner: format.Owner{Known: true, UID: 1000, User: "alice", PID: 4711, Process: "curl", Exe: "/usr/bin/curl", Unit: "user@1000.service"},
	}
	end := opening
	end.Type, end.Duration, end.ClosedBy, end.Close, end.SNI = format.Flow, 3*time.Second, "server", "fin", "login.example.org"
	end.Outcome, end.SYNACKDelay = "", -1
	end.Bytes = format.Traffic{Outbound: 500, Inbound: 2_000_000}
	end.Time = end.Time.Add(end.Duration)
	return &format.Connection{Opening: &opening, End: &end}
}

func lookup() *format.Connection {
	return &format.Connection{State: format.Alive, Opening: &format.Record{
		Type: format.Datagram, Time: now, Proto: flow.UDP, Verdict: "allow", SYNACKDelay: -1,
		Client: netip.MustParseAddrPort("[2001:db8::1]:5000"), Server: netip.MustParseAddrPort("[2001:db8::53]:53"),
		DNS: true, Queries: []format.Question{{Name: "secret.example.com", Type: "TXT"}},
	}}
}

func refused() *format.Connection {
	return &format.Connection{Opening: &format.Record{
		Type: format.Handshake, Time: now.Add(-48 * time.Hour), Outcome: "refused", SYNACKDelay: -1,
		Client: netip.MustParseAddrPort("10.1.2.3:50000"), Server: netip.MustParseAddrPort("198.51.100.9:8443"),
	}}
}

// TestUserWithoutName has the number stand for the name of a user that has none.
func TestUserWithoutName(t *testing.T) {
	t.Parallel()
	c := download()
	c.Opening.Owner.User = ""
	f, err := Parse("user:1000", now)
	if err != nil {
		t.Fatal(err)
	}
	if got := Value(c, "user"); got != "1000" || !f.Match(c) || Value(refused(), "user") != "" {
		t.Errorf("the user is %q, and matches: %t", got, f.Match(c))
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	all := map[string]*format.Connection{"download": download(), "query": lookup(), "refused": refused()}
	for _, tt := range []struct{ filter, want string }{
		{"", "download query refused"},
		{"dst:203.0.113.0/24", "download"},
		{"dst:203.0.113.2,198.51.100.0/24", "download refused"},
		{"src:10.0.0.0/8 dst:198.51.100.9", "refused"},
		{"addr:2001:db8::53", "query"},
		{"addr:2001:db8::/32", "query"},
		{"2001:db8::1", "query"},
		{"fd00::1", ""},
		{"!10.0.0.0/8", "download query"},
		{"port:443", "download"},
		{"port:443,8000-8999", "download refused"},
		{"port:443 port:8443", "download refused"},
		{"!port:443 !port:8443", "query"},
		{"sport:50000", "refused"},
		{"name:www.example.com", "download"},
		{"name:WWW.Example.com.", "download"},
		{"name:example.com", ""},
		{"name:*.example.com", "download query"},
		{"name:*.example.net", "download"},
		{"name:*.example.org", "download"},
		{"name:*", "download query"},
		{"!name:*", "refused"},
		{"sni:*.example.org", "download"},
		{"query:*.example.com", "query"},
		{"proto:udp", "query"},
		{"tcp", "download refused"},
		{"!tcp", "query"},
		{"refused", "refused"},
		{"!refused", "download query"},
		{"refused established", "download refused"},
		{"outcome:established,refused tcp", "download refused"},
		{"outcome:answered", ""},
		{"open", "query"},
		{"state:ended", "download refused"},
		{"verdict:allow", "download query"},
		{"rule:default", "download"},
		{"host:gate", "download"},
		{"uid:1000", "download"},
		{"uid:0-999", ""},
		{"!uid:1000", "query refused"},
		{"pid:4711", "download"},
		{"user:alice", "download"},
		{"process:curl", "download"},
		{"process:c*l", "download"},
		{"process:c*x*l", ""},
		{"exe:/usr/bin/*", "download"},
		{"exe:curl", ""},
		{"unit:user@*", "download"},
		{"unit:*", "download"},
		{"bytes:>1MB", "download"},
		{"bytes:>2000500", ""},
		{"bytes:>=2000500", "download"},
		{"bytes:1MiB-2MiB", "download"},
		{"out:<501", "download"},
		{"in:<=1.9MiB", ""},
		{"duration:>=3s", "download"},
		{"duration:<3s", ""},
		{"duration:1s-1d", "download"},
		{"duration:>=1d", ""},
		{"duration:<1w2d3h", "download"},
		{"!duration:>=3s", "query refused"},
		{"connect:>1ms", "download"},
		{"connect:<1ms", ""},
		{"close:fin closed_by:server", "download"},
		{"CURL", "download"},
		{"example", "download query"},
		{":8443", "refused"},
		{`"secret.example.com"`, "query"},
		{`process:"curl"`, "download"},
		{"since:2h", "download query"},
		{"until:2h", "refused"},
		{"since:3d until:yesterday", "refused"},
		{`since:"today 14:00" !udp`, "download"},
	} {
		f, err := Parse(tt.filter, now)
		if err != nil {
			t.Errorf("%s: %v", tt.filter, err)
			continue
		}
		var got []string
		for _, name := range []string{"download", "query", "refused"} {
			if f.Match(all[name]) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.filter, got, tt.want)
		}
	}
}

func TestNot(t *testing.T) {
	t.Parallel()
	f, err := Parse("tcp", now)
	if err != nil {
		t.Fatal(err)
	}
	not, err := Parse("port:443 name:*.example.com", now)
	if err != nil {
		t.Fatal(err)
	}
	f.Not(not)
	if f.Match(download()) || !f.Match(refused()) || f.Match(lookup()) {
		t.Error("tcp, and not both port 443 and a name below example.com: wrong connections")
	}
}

// MayMatch says no to an opening only if its flow cannot make it match.
func TestMayMatch(t *testing.T) {
	t.Parallel()
	whole := download()
	opening := &format.Connection{Opening: whole.Opening, State: format.Alive}
	for _, tt := range []struct {
		filter      string
		may, matchs bool
	}{
		{"", true, true},
		{"port:443", true, true},
		{"port:80", false, false},
		{"!port:443", false, false},
		{"bytes:>1MB", true, true},
		{"bytes:>3MB", true, false},
		{"!bytes:>1MB", true, false},
		{"bytes:>1MB port:80", false, false},
		{"name:login.example.org", true, true},
		{"sni:nobody.example", true, false},
		{"refused", false, false},
		{"established", true, true},
		{"state:ended", true, true},
		{"since:1m", false, false},
		{"login", true, true},
	} {
		f, err := Parse(tt.filter, now)
		if err != nil {
			t.Fatal(err)
		}
		if f.MayMatch(opening) != tt.may || f.Match(whole) != tt.matchs {
			t.Errorf("%s: may match %t, matches %t; want %t, %t", tt.filter, f.MayMatch(opening), f.Match(whole), tt.may, tt.matchs)
		}
		not := new(Filter)
		not.Not(f)
		if not.Match(whole) && !not.MayMatch(opening) {
			t.Errorf("not %s: matches and may not match", tt.filter)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ filter, want, hint string }{
		{"prt:443", `column 1: "prt" is no key`, `did you mean "port"?`},
		{"!refused colour:red", `column 10: "colour" is no key`, "keys are name, sni,"},
		{"port:65536", `column 1: port: "65536" is no port`, ""},
		{"port:90-80", `column 1: port: "90-80" ends before it begins`, ""},
		{"port:80-x", `column 1: port: "80-x" is no range of ports`, ""},
		{"dst:here", `column 1: dst: "here" is neither an address nor a prefix`, ""},
		{"dst:10.0.0.0/40", `column 1: dst: "10.0.0.0/40" is neither an address nor a prefix`, ""},
		{"  outcome:perfect", `column 3: outcome: "perfect" is unknown`, "one of established, refused,"},
		{"name:*example.com", `column 1: name: "*example.com" is no name`, `"*." stands only at the beginning`},
		{"name:a.*.b", `column 1: name: "a.*.b" is no name`, `"*." stands only at the beginning`},
		{"bytes:1MB", `column 1: bytes: "1MB" has no bound`, "write it like >1MB"},
		{"bytes:>much", `column 1: bytes: "much" is no size`, "write it like 500"},
		{"bytes:>-1", `column 1: bytes: "-1" is no size`, "write it like 500"},
		{"duration:>1", `column 1: duration: "1" is no duration`, "write it like 50ms"},
		{"duration:>-1d", `column 1: duration: "-1d" is no duration`, "write it like 50ms"},
		{"duration:>999999w", `column 1: duration: "999999w" is no duration`, "write it like 50ms"},
		{"duration:2s-1s", `column 1: duration: "2s-1s" ends before it begins`, ""},
		{"since:never", `column 1: since: "never" is no time`, "write it like 2026"},
		{"since:1h,2h", `column 1: since: takes one time, without "!"`, ""},
		{"port:", `column 1: port: has no value`, ""},
		{"port:80,", `column 1: port: has no value`, ""},
		{"tcp !", `column 5: a term is empty`, ""},
		{`tcp name:"a`, `column 5: a quote is not closed`, ""},
		{"port:80 or port:443", `column 9: "or" is no operator`, "terms side by side"},
		{"tcp -refused", `column 5: "-" cannot stand before a term`, "! takes what does not match"},
		{"!(port:80)", `column 1: "(" cannot stand before a term`, "! takes what does not match"},
		{"prt:1 port:x", "column 1: \"prt\" is no key\ncolumn 7: port: \"x\" is no port", ""},
	} {
		_, err := Parse(tt.filter, now)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.filter, err, tt.want)
			continue
		}
		var list hint.List
		if l, ok := err.(hint.List); ok {
			list = l
		} else {
			list = hint.List{err}
		}
		if got := hint.Of(list[0]); !strings.HasPrefix(got, tt.hint) {
			t.Errorf("%s: hint %q, want %q", tt.filter, got, tt.hint)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"2026-11-23T07:50:00Z", "2026-11-23T07:50:00Z"},
		{"2026-11-23T07:50:00.25+02:00", "2026-11-23T05:50:00.25Z"},
		{"2026-11-23 07:50:00", "2026-11-23T06:50:00Z"},
		{"2026-11-23 07:50", "2026-11-23T06:50:00Z"},
		{"2026-11-23T07:50", "2026-11-23T06:50:00Z"},
		{"2026-11-23", "2026-11-22T23:00:00Z"},
		{"now", "2026-11-24T14:30:00Z"},
		{"today", "2026-11-23T23:00:00Z"},
		{"today 14:00", "2026-11-24T13:00:00Z"},
		{"yesterday", "2026-11-22T23:00:00Z"},
		{"yesterday 14:00:30", "2026-11-23T13:00:30Z"},
		{"14:00", "2026-11-24T13:00:00Z"},
		{"2h", "2026-11-24T12:30:00Z"},
		{"-2h", "2026-11-24T12:30:00Z"},
		{"90m", "2026-11-24T13:00:00Z"},
		{"2d", "2026-11-22T14:30:00Z"},
		{"1w", "2026-11-17T14:30:00Z"},
		{"1w2d3h", "2026-11-15T11:30:00Z"},
		{"2026-11-23T07:50Z", "2026-11-23T07:50:00Z"},
		{"2026-11-23T07:50:00+0200", "2026-11-23T05:50:00Z"},
		{"2026-11-23 07:50:00+02:00", "2026-11-23T05:50:00Z"},
		{"@1795700000", "2026-11-26T13:33:20Z"},
	} {
		got, err := ParseTime(tt.text, now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.text, got.UTC().Format(time.RFC3339Nano), err, tt.want)
		}
	}
	for _, text := range []string{"", "-", "d", "never", "tomorrow", "today 25:00", "2", "2x", "1d-2h", "2026-13-01", "99999999999d"} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

// Of a time that clocks show twice, since is the first and until the last.
func TestClocksSetBack(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	for text, want := range map[string]string{
		"since:02:30 until:02:30":          "00:30 to 01:30",
		"since:\"today 02:00\" until:3:00": "00:00 to 02:00",
		"since:01:59 until:02:00":          "23:59 to 01:00",
		"since:03:00 until:today":          "02:00 to 22:00",
	} {
		f, err := Parse(text, time.Date(2026, 10, 25, 12, 0, 0, 0, berlin))
		if err != nil {
			t.Fatal(err)
		}
		got := f.Since.UTC().Format("15:04 to ") + f.Until.UTC().Format("15:04")
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// Words of other grammars are text where they stand in quotes, and inside of others.
func TestQuotedWords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"or"`, `"-refused"`, "order", "(sd-pam)", "-agent"} {
		if _, err := Parse(text, now); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The Host of a request may be an address, which is no name.
func TestNameOfHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"www.example.com": "www.example.com", "192.0.2.1": "", "2001:db8::1": "", "[2001:db8::1]": "", "": "",
	} {
		c := refused()
		c.End = &format.Record{Type: format.Flow, HTTPHost: host}
		if got := Name(c); got != want {
			t.Errorf("Host %s: name %q, want %q", host, got, want)
		}
	}
}

// FuzzParse: whatever the text is, a filter of it judges every connection.
func FuzzParse(f *testing.F) {
	f.Add(`dst:10.0.0.0/8 !refused port:5432,1-2 name:*.example.com "a \" b" bytes:>1MB since:"today 14:00" x`)
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := Parse(text, now)
		if err != nil {
			return
		}
		for _, c := range []*format.Connection{download(), lookup(), refused(), {End: download().End}} {
			opening := *c
			if c.Opening != nil && c.End != nil {
				opening.End, opening.State = nil, format.Alive
			}
			if filter.Match(c) && !filter.MayMatch(&opening) {
				t.Errorf("%q matches and may not match", text)
			}
		}
	})
}
