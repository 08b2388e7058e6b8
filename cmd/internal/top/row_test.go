package top

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/web"
)

// screen returns a model of a size that has had some records of a run, and the lines that it draws.
func screen(t *testing.T, width int, records ...string) *model {
	t.Helper()
	f := &feed{status: web.Status{Interface: "syntap0"}}
	m := newModel(f, f.status)
	m.width, m.height = width, 30
	f.begin("0123456789abcdef")
	for _, r := range records {
		f.event(web.Event{Kind: "message", Data: []byte(r)}, new(format.Decoder))
	}
	m.update()
	return m
}

func (m *model) drawn() []string { return strings.Split(m.View().Content, "\n") }

const run = `"run_id":"0123456789abcdef","level":"info"`

var traffic = []string{
	`{"time":"2026-11-26T09:00:00.000000Z","msg":"handshake","seq":1,` + run + `,"proto":"tcp","outcome":"established","src":"192.0.2.1","sport":40001,"dst":"198.51.100.2","dport":443,"name":"www.example.com","name_source":"dns","client_isn":1,"synack_us":1500,"ack_us":40,"segments":[],"uid":1000,"user":"alice","pid":7,"process":"curl"}`,
	`{"time":"2026-11-26T09:00:01.000000Z","msg":"datagram","seq":1,` + run + `,"proto":"udp","verdict":"allow","rule":"default","src":"192.0.2.1","sport":40002,"dst":"198.51.100.53","dport":53,"length":40,"dns":{"queries":[{"name":"www.example.com","type":"A"}]}}`,
	`{"time":"2026-11-26T09:00:02.000000Z","msg":"handshake","seq":2,` + run + `,"proto":"tcp","outcome":"refused","src":"192.0.2.1","sport":40003,"dst":"198.51.100.3","dport":80,"client_isn":1,"segments":[],"upstream":{"dial_us":1,"error":"ECONNREFUSED"}}`,
	`{"time":"2026-11-26T09:00:03.000000Z","msg":"flow","seq":1,` + run + `,"proto":"tcp","handshake_seq":1,"src":"192.0.2.1","sport":40001,"dst":"198.51.100.2","dport":443,"name":"www.example.com","client_isn":1,"server_isn":2,"duration_us":3000000,"outbound_bytes":700,"inbound_bytes":5000000,"retransmits":0,"closed_by":"server","close":"rst"}`,
	`{"time":"2026-11-26T09:00:04.000000Z","msg":"datagram","seq":2,` + run + `,"proto":"icmp","verdict":"allow","rule":"default","src":"192.0.2.1","sport":9,"dst":"198.51.100.9","dport":0,"length":56}`,
}

// TestList draws connections of all kinds, joined with their ends.
func TestList(t *testing.T) {
	t.Parallel()
	at := func(second int) string {
		return clock(time.Date(2026, 11, 26, 9, 0, second, 0, time.UTC))
	}
	for width, want := range map[int][]string{
		80: {
			at(4) + " open        -            198.51.100.9 icmp               -        -",
			at(2) + " refused     -            198.51.100.3:80                 -        -",
			at(1) + " open        -            A www.example.com               -        -",
			at(0) + " established curl alice   www.example.com:443      4.77 MiB   3.00 s",
		},
		150: {
			at(4) + " open        -                   192.0.2.1              198.51.100.9 icmp                    -        -        -        - open",
			at(2) + " refused     -                   192.0.2.1:40003        198.51.100.3:80                      -        -        -        - ECONNREFUSED",
			at(1) + " open        -                   192.0.2.1:40002        A www.example.com                    -        -        -        - open",
			at(0) + " established curl alice          192.0.2.1:40001        www.example.com:443            1.50 ms    700 B 4.77 MiB   3.00 s server rst",
		},
	} {
		m := screen(t, width, traffic...)
		var got []string
		for _, line := range m.drawn()[3:7] {
			got = append(got, strings.TrimRight(ansi.Strip(line), " "))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", width, diff)
		}
		all := m.drawn()
		m.help = true
		for _, line := range append(all, m.drawn()...) {
			if n := ansi.StringWidth(line); n > width {
				t.Errorf("a line of %d columns on a screen of %d: %q", n, width, line)
			}
		}
	}
}

// TestRate: connections from before the display are listed, and are not in its rate; records that
// the router no longer keeps were not missed.
func TestRate(t *testing.T) {
	t.Parallel()
	f := &feed{status: web.Status{Started: time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC), Uptime: 1.5}}
	m := newModel(f, f.status)
	f.begin("0123456789abcdef")
	decoder := new(format.Decoder)
	tell := func(kind, data string) { f.event(web.Event{Kind: kind, Data: []byte(data)}, decoder) }
	tell("lost", `{"lost":7}`)
	for _, r := range traffic[:2] {
		tell("message", r)
	}
	m.update()
	if m.rate != 0 || m.lost != 0 || len(m.all) != 2 {
		t.Errorf("%v a second of %d, %d missed; want 0 of 2, 0 missed", m.rate, len(m.all), m.lost)
	}
	tell("message", strings.ReplaceAll(traffic[2], "0123456789abcdef", "fedcba9876543210")) // of an earlier run
	tell("message", traffic[2])
	tell("lost", `{"lost":7}`)
	m.update()
	if m.rate != 0.4 || m.lost != 7 {
		t.Errorf("%v a second, %d missed; want 0.4, 7", m.rate, m.lost)
	}
}

func TestFilterSortAndGroup(t *testing.T) {
	t.Parallel()
	m := screen(t, 120, traffic...)
	ports := func() (got []uint16) {
		for _, r := range m.matching {
			got = append(got, r.first().Client.Port())
		}
		return got
	}
	for text, want := range map[string][]uint16{
		"!refused tcp": {40001}, "open": {9, 40002}, "name:*.example.com": {40002, 40001}, "bytes:>1MB": {40001}, "port:80": {40003},
	} {
		m.setFilter(text)
		if got := ports(); !slices.Equal(got, want) || m.mistake != nil {
			t.Errorf("%s: %v, %v, want %v", text, got, m.mistake, want)
		}
	}
	m.setFilter("port:80")
	m.setFilter("port:80 prot:tcp") // shows why, and what was there
	footer := ansi.Strip(m.footer())
	if got := ports(); len(got) != 1 || footer != `column 9: "prot" is no key; did you mean "proto"?` {
		t.Errorf("wrong filter: %v %q", got, footer)
	}
	m.setFilter("")
	m.order = "received"
	m.arrange()
	if got := ports(); got[0] != 40001 {
		t.Errorf("by bytes received: %v", got)
	}
	m.group("outcome")
	if got := strings.TrimRight(ansi.Strip(m.line(0)), " "); strings.Join(strings.Fields(got), " ") != "established 1 0 0 700 B 4.77 MiB "+m.groups[0].latest.Local().Format("15:04:05") {
		t.Errorf("first group: %q", got)
	}
	for _, by := range groupings[1:] { // each group is what its terms ask for
		m.setFilter("")
		m.group(by)
		for i, g := range m.groups {
			m.cursor = i
			m.enter()
			if m.mistake != nil || m.grouping != "" || len(m.matching) != g.number || m.matching[len(m.matching)-1] == nil {
				t.Errorf("group %q by %s: filter %q gives %d, %v, want %d", g.value, by, m.filter, len(m.matching), m.mistake, g.number)
			}
			m.setFilter("")
			m.group(by)
		}
	}
}

// Flows of datagrams without an outcome are open, or nothing is known of their end, as of those of
// a run before. The filters of these groups take no open connection.
func TestGroupsWithoutOutcome(t *testing.T) {
	t.Parallel()
	another := strings.NewReplacer(`"seq":2`, `"seq":3`, "0123456789abcdef", "fedcba9876543210").Replace(traffic[4])
	open := strings.NewReplacer(`"seq":1`, `"seq":4`, "40001", "40004").Replace(traffic[0])
	m := screen(t, 120, append(slices.Clone(traffic), another, open)...)
	m.group("outcome")
	got := make(map[string]int)
	for i, g := range m.groups {
		got[g.value] = g.number
		m.cursor = i
		m.enter()
		if m.mistake != nil || len(m.matching) != g.number {
			t.Errorf("%s: filter %q gives %d, %v, want %d", g.value, m.filter, len(m.matching), m.mistake, g.number)
		}
		m.setFilter("")
		m.group("outcome")
	}
	want := map[string]int{"open": 2, "unknown": 1, "established": 2, "refused": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

// A router that has started again tells all its records anew.
func TestAnotherRun(t *testing.T) {
	t.Parallel()
	m := screen(t, 120, traffic...)
	m.feed.begin("fedcba9876543210")
	m.feed.event(web.Event{Kind: "message", Data: []byte(traffic[0])}, new(format.Decoder))
	m.update()
	if len(m.all) != 1 || m.all[0].note() != "end not on record" {
		t.Errorf("%d connections, first %+v", len(m.all), m.all[0])
	}
}

// TestHostile has commands to the terminal in all texts of records.
func TestHostile(t *testing.T) {
	t.Parallel()
	const evil = `\u001b]0;x\u0007\u202e\n名`
	var records []string
	for _, r := range []string{
		`{"time":"2026-11-26T09:00:00.000000Z","msg":"handshake","seq":1,"run_id":"E","host":"E","proto":"tcp","outcome":"E","aborted_by":"E","verdict":"deny","rule":"E","reason":"E","src":"192.0.2.1","sport":1,"dst":"2001:db8::1","dport":2,"name":"E","name_source":"E","names":["E","E"],"client_isn":1,"rewrites":[{"packet":"syn","what":"E","from":"E","to":"E","rule":1}],"lines":["E"],"segments":[{"dir":"outbound","flags":"E","seq":1}],"upstream":{"local":"E","remote":"E","dial_us":1,"error":"E"},"uid":0,"user":"E","pid":7,"process":"E","exe":"E","unit":"E","container":"E"}`,
		`{"time":"2026-11-26T09:00:00.000000Z","msg":"flow","seq":1,"run_id":"E","proto":"tcp","handshake_seq":1,"src":"192.0.2.1","sport":1,"dst":"2001:db8::1","dport":2,"duration_us":1,"outbound_bytes":1,"inbound_bytes":1,"closed_by":"E","close":"timeout","sni":"E","alpn":["E"],"http_host":"E","dns":{"queries":[{"name":"E","type":"E"}],"rcode":"E","answers":[{"name":"E","type":"E","data":"E","ttl":1}]}}`,
		`{"time":"2026-11-26T09:00:00.000000Z","msg":"datagram","seq":1,"run_id":"E","proto":"E","src":"192.0.2.1","sport":1,"dst":"2001:db8::1","dport":2,"length":1,"dns":{"queries":[{"name":"E","type":"E"}]},"quic":{"version":"E","sni":"E","alpn":["E"]}}`,
	} {
		records = append(records, strings.ReplaceAll(r, `"E"`, `"`+evil+`"`))
	}
	m := screen(t, 200, records...)
	check := func() {
		t.Helper()
		for _, line := range m.drawn() {
			if plain := ansi.Strip(line); strings.ContainsAny(line, "\a\u202e") || strings.Contains(line, "\x1b]") || strings.ContainsAny(plain, "\x1b\r\t") {
				t.Errorf("the terminal would get %q", line)
			}
		}
		if lines := len(m.drawn()); lines != m.height {
			t.Errorf("%d lines on a screen of %d", lines, m.height)
		}
	}
	check()
	m.height = 200
	for _, r := range m.matching {
		m.open = r
		check()
		if !strings.Contains(m.View().Content, `\x1b]0;x\x07\u202e\n名`) {
			t.Errorf("the detail hides the name: %s", m.View().Content)
		}
	}
	m.open = nil
	for _, by := range groupings[1:] {
		m.group(by)
		check()
	}
	m.setFilter("name:\x1b]0;x\a")
	check()
}
