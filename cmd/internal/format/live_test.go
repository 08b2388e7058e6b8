package format

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// opening has everything that is known of a client.
func known() *record.Opening {
	return &record.Opening{
		Owner: &record.Owner{
			UID: 1000, User: "alice", PID: 4711, Process: `we"ird`, Exe: "/usr/bin/we\"ird", Unit: "a.service", Container: "abc",
		},
		Name: &record.Name{Name: "www.example.com", Source: "dns", Others: []string{"cdn.example.net", "b.example"}},
	}
}

// attempts are handshakes with every member, and with few.
func attempts() []*record.Attributed {
	full := recordtest.Handshake(1051, recordtest.Start)
	full.Outcome, full.AbortedBy, full.SYNRetransmits, full.Simultaneous = handshake.Aborted, handshake.Client, 1, true
	full.Rewrites = []handshake.Rewrite{
		{Packet: "syn", What: "mss", From: "1460", To: "1360", Rule: 2},
		{Packet: "syn", What: "mss", From: "none", To: "536", Rule: 3},
		{Packet: "ack", What: "df", From: "set", To: "clear", Rule: 1},
	}
	full.Upstream = &flow.Upstream{
		Local: netip.MustParseAddrPort("203.0.113.9:40000"), Remote: full.Server, DialTime: time.Second + 1, MSS: 1360,
		Error: "ECONNREFUSED", Decision: &flow.Decision{Rule: "default"},
	}
	full.Segments[2].Payload = 7
	denied := recordtest.Refused()
	denied.Outcome = handshake.Denied
	denied.Upstream = &flow.Upstream{Decision: &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "it forbids this"}}
	return []*record.Attributed{
		{Record: full, Opening: known()},
		{Record: denied, Opening: known()},
		{Record: recordtest.Handshake(1052, recordtest.Start)},
		{Record: recordtest.Refused()},
	}
}

// datagrams are beginnings of flows without a handshake.
func datagrams() []*record.AttributedDatagram {
	client, server := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("198.51.100.2:53")
	hello := &flow.Hello{Version: "1.3", SNI: "www.example.com", ALPN: []string{"h3"}, ECH: true}
	allow := &flow.Decision{Rule: "default"}
	at := recordtest.Start.Add(999)
	all := []flow.Datagram{
		{Proto: flow.UDP, DNS: &flow.DNS{Queries: []flow.Question{{Name: "a.example", Type: 1}, {Name: "a.example", Type: 65}}}},
		{Proto: flow.UDP, QUIC: &flow.QUIC{Version: "1", Hello: hello}},
		{Proto: flow.UDP, QUIC: &flow.QUIC{Version: "2"}},
		{Proto: flow.ICMP},
		{Proto: flow.UDP, Denied: true, Decision: &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "no"}},
	}
	var attributed []*record.AttributedDatagram
	for i := range all {
		d := &all[i]
		d.Client, d.Server, d.Time, d.Length = netip.AddrPortFrom(client, uint16(5000+i)), server, at, 30
		if d.Proto == flow.ICMP {
			d.Server = netip.AddrPortFrom(server.Addr(), 0)
		}
		if !d.Denied {
			d.Decision, d.Upstream = allow, d.Server
		}
		d.Opening = known()
		attributed = append(attributed, &record.AttributedDatagram{Datagram: d, Opening: known()})
	}
	return attributed
}

// flows are ends of connections and flows.
func flows() (all []*record.AttributedFlow) {
	began := recordtest.Start.Add(999)
	key := recordtest.Handshake(1051, began).Key()
	hello := &flow.Hello{Version: "1.2", SNI: "www.example.com", ALPN: []string{"h2", "http/1.1"}}
	answers := []flow.Record{{Name: "a.example", Type: 1, TTL: 60, Data: "192.0.2.7"}, {Name: "a.example", Type: 300, Data: "\\# 0"}}
	for end := flow.ClientFIN; end <= flow.RouterRST; end++ {
		f := flow.Flow{Key: key, Started: began, Duration: 1001, Outbound: 1, Inbound: 2, Retransmits: 3, End: end, Opening: known()}
		switch { // one of the protocols for each
		case end == flow.ClientFIN:
			f.Hello = hello
		case end == flow.ServerFIN:
			f.HTTPHost = "www.example.com"
		case end == flow.ClientRST:
			f.DNS = &flow.DNS{Response: true, RCode: 3, Queries: []flow.Question{{Name: "a.example", Type: 28}}}
		}
		all = append(all, &record.AttributedFlow{Flow: f, NameConflict: end == flow.ClientFIN})
	}
	for i, d := range datagrams() {
		if d.Denied {
			continue
		}
		f := flow.Flow{
			Started: d.Time, Duration: time.Second + 1, Outbound: 30, Inbound: 60, Datagram: d.Datagram,
			Outcome: flow.Outcome(i % 4), OutboundPackets: 1, InboundPackets: 2,
		}
		if d.DNS != nil {
			f.DNS = &flow.DNS{Response: true, Queries: d.DNS.Queries, Answers: answers}
		}
		all = append(all, &record.AttributedFlow{Flow: f})
	}
	return all
}

// eachLive calls f with each record, filled in from the router's types, and its line in a JSON log.
func eachLive(f func(r *Record, line []byte)) {
	run := record.NewRun("gate", "boot", recordtest.Start)
	w, l := record.Writer{Run: run}, Live{Run: run}
	var r Record
	for _, a := range attempts() {
		l.Handshake(&r, a)
		f(&r, w.Handshake(nil, 1, a))
	}
	for _, d := range datagrams() {
		l.Datagram(&r, d)
		f(&r, w.Datagram(nil, 1, d))
	}
	for _, e := range flows() {
		l.Flow(&r, e)
		f(&r, w.Flow(nil, 1, e, 0))
	}
}

// A record that is filled in from the router's types is the one that is decoded from its line, and
// each format writes the same of both.
func TestLiveIsDecoded(t *testing.T) {
	t.Parallel()
	var d Decoder
	eachLive(func(live *Record, line []byte) {
		var decoded Record
		d.Decode(line, &decoded)
		decoded.Seq = 0
		options := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.IgnoreUnexported(Record{})}
		if diff := cmp.Diff(*live, decoded, options...); diff != "" {
			t.Errorf("(-live +decoded) %s\n%s", line, diff)
		}
		for i := range events {
			if diff := cmp.Diff(string(events[i](live)), string(events[i](&decoded))); diff != "" {
				t.Errorf("(-live +decoded) %s\n%s", line, diff)
			}
		}
	})
}

// A finding that the router makes is written like the one that is decoded from its line.
func TestLiveFinding(t *testing.T) {
	t.Parallel()
	run := record.NewRun("gate", "boot", recordtest.Start)
	var live, decoded Record
	(&Live{Run: run}).Finding(&live, decode(t, samples(t)["finding"]).Finding)
	line := (&record.Writer{Run: run}).Finding(nil, 1, live.Finding)
	new(Decoder).Decode(line, &decoded)
	decoded.Seq = 0
	for i := range events[:2] { // Zeek and CSV have no form for it
		if diff := cmp.Diff(string(events[i](&live)), string(events[i](&decoded))); diff != "" {
			t.Errorf("(-live +decoded) %s\n%s", line, diff)
		}
	}
}

// events append a record in each form for programs.
var events = []func(*Record) []byte{
	func(r *Record) []byte { return new(OCSF).Append(nil, r) },
	func(r *Record) []byte { return new(ECS).Append(nil, r) },
	func(r *Record) []byte { return new(Zeek).Append(nil, connection(r)) },
	func(r *Record) []byte { return new(CSV).Append(nil, connection(r)) },
}

// Records of the router are valid too.
func TestLiveIsValid(t *testing.T) {
	t.Parallel()
	eachLive(func(r *Record, line []byte) { valid(t, string(line), r) })
}

// A connection's begin and end have the same uid.
func TestUID(t *testing.T) {
	t.Parallel()
	var l Live
	begins := make(map[string]bool)
	var r Record
	for _, a := range attempts()[:1] {
		l.Handshake(&r, a)
		begins[string(r.UID())] = true
	}
	for _, d := range datagrams() {
		l.Datagram(&r, d)
		begins[string(r.UID())] = true
	}
	for _, f := range flows() {
		if l.Flow(&r, f); !begins[string(r.UID())] {
			t.Errorf("no begin of %v", f)
		}
	}
	if want := 1 + len(datagrams()); len(begins) != want {
		t.Errorf("%d uids, want %d", len(begins), want)
	}
}
