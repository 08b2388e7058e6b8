package record

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// start is when the records begin.
var start = recordtest.Start

// write returns the lines that a Writer makes of records, numbered from 1.
func write(records ...*handshake.Record) string {
	var w Writer
	var b []byte
	for i, r := range records {
		b = w.Handshake(b, uint64(i+1), &Attributed{Record: r})
	}
	return string(b)
}

func TestWriteHandshake(t *testing.T) {
	t.Parallel()
	denied := recordtest.Refused()
	denied.Outcome = handshake.Denied
	denied.Upstream = &flow.Upstream{Remote: netip.MustParseAddrPort("[2001:db8:1::2]:443"), DialTime: 1500 * time.Nanosecond, Error: "EACCES"}
	aborted := recordtest.Handshake(1051, start.Add(-time.Hour))
	aborted.Outcome, aborted.AbortedBy = handshake.Aborted, handshake.Server
	aborted.SYNACKRetransmits, aborted.Simultaneous, aborted.Segments = 2, true, nil
	aborted.Rewrites = []handshake.Rewrite{{Packet: "syn", What: "mss", From: "1460", To: "1360", Rule: 1}, {Packet: "ack", What: "df", From: "clear", To: "set", Rule: 2}, {Packet: "synack", What: "mss", From: "none", To: "536", Rule: 3}}
	aborted.Upstream = &flow.Upstream{Local: netip.MustParseAddrPort("203.0.113.9:40000"), Remote: netip.MustParseAddrPort("198.51.100.2:80"), DialTime: time.Second, MSS: 1360}

	tests := []struct {
		name string
		in   *handshake.Record
		want string
	}{
		{"established", recordtest.Handshake(1051, start), `{"time":"2026-11-23T07:50:00.123456Z","level":"info","msg":"handshake","seq":1,"proto":"tcp","outcome":"established",` +
			`"family":4,"src":"192.0.2.1","sport":1051,"dst":"198.51.100.2","dport":80,"client_isn":4255483971,"server_isn":4279842714,` +
			`"client":{"win":65535,"mss":1460,"wscale":7,"sack_ok":true,"ts":4294967295,"df":true,"ttl":64,"ecn":false},` +
			`"server":{"win":65535,"mss":1400,"df":true,"ttl":64,"ecn":true},` +
			`"syn_retransmits":0,"synack_retransmits":0,"simultaneous":false,"synack_us":862,"ack_us":41,"lines":[` +
			`"IP 192.0.2.1.1051 > 198.51.100.2.80: Flags [S], seq 4255483971, win 65535, options [mss 1460], length 0",` +
			`"IP 198.51.100.2.80 > 192.0.2.1.1051: Flags [S.], seq 4279842714, ack 4255483972, win 65535, length 0",` +
			`"IP 192.0.2.1.1051 > 198.51.100.2.80: Flags [.], ack 4279842715, win 65535, length 0"],` +
			`"segments":[` +
			`{"at_us":0,"dir":"outbound","flags":"S","seq":4255483971,"win":65535,"len":0,"opts":[2],"df":true,"ttl":64,` +
			`"hdr":"4500002c0001400040060000c0000201c6336402041b0050fda58843000000006002ffff00000000020405b4"},` +
			`{"at_us":862,"dir":"inbound","flags":"S.","seq":4279842714,"ack":4255483972,"win":65535,"len":0,"opts":[],"df":true,"ttl":64,` +
			`"hdr":"450000280001400040060000c6336402c00002010050041bff19379afda588445012ffff00000000"},` +
			`{"at_us":904,"dir":"outbound","flags":".","seq":4255483972,"ack":4279842715,"win":65535,"len":0,"opts":[],"df":true,"ttl":64,` +
			`"hdr":"450000280001400040060000c0000201c6336402041b0050fda58844ff19379b5010ffff00000000"}],` +
			`"rewrites":[],"community_id":"1:kY+WSkG/l4zrGNKB7q++H/E/RSc="}`},
		{"refused", recordtest.Refused(), `{"time":"2026-11-23T07:50:00.123456Z","level":"info","msg":"handshake","seq":1,"proto":"tcp","outcome":"refused",` +
			`"family":6,"src":"2001:db8::1","sport":1051,"dst":"2001:db8:1::2","dport":443,"client_isn":0,` +
			`"client":{"win":64800,"ttl":63,"ecn":false},` +
			`"syn_retransmits":1,"synack_retransmits":0,"simultaneous":false,"lines":[],"segments":[],` +
			`"rewrites":[],"community_id":"1:KS+kmT/dpaHxghRyFvnlgtedZpk="}`},
		{"denied", denied, `{"time":"2026-11-23T07:50:00.123456Z","level":"info","msg":"handshake","seq":1,"proto":"tcp","outcome":"denied",` +
			`"family":6,"src":"2001:db8::1","sport":1051,"dst":"2001:db8:1::2","dport":443,"client_isn":0,` +
			`"client":{"win":64800,"ttl":63,"ecn":false},` +
			`"syn_retransmits":1,"synack_retransmits":0,"simultaneous":false,"lines":[],"segments":[],` +
			`"rewrites":[],"upstream":{"remote":"[2001:db8:1::2]:443","dial_us":1,"error":"EACCES"},"community_id":"1:KS+kmT/dpaHxghRyFvnlgtedZpk="}`},
		{"aborted", aborted, `{"time":"2026-11-23T06:50:00.123456Z","level":"info","msg":"handshake","seq":1,"proto":"tcp","outcome":"aborted","aborted_by":"server",` +
			`"family":4,"src":"192.0.2.1","sport":1051,"dst":"198.51.100.2","dport":80,"client_isn":4255483971,"server_isn":4279842714,` +
			`"client":{"win":65535,"mss":1460,"wscale":7,"sack_ok":true,"ts":4294967295,"df":true,"ttl":64,"ecn":false},` +
			`"server":{"win":65535,"mss":1400,"df":true,"ttl":64,"ecn":true},` +
			`"syn_retransmits":0,"synack_retransmits":2,"simultaneous":true,"synack_us":862,"ack_us":41,"lines":[],"segments":[],` +
			`"rewrites":[{"packet":"syn","what":"mss","from":1460,"to":1360,"rule":1},{"packet":"ack","what":"df","from":"clear","to":"set","rule":2},{"packet":"synack","what":"mss","to":536,"rule":3}],` +
			`"upstream":{"local":"203.0.113.9:40000","remote":"198.51.100.2:80","dial_us":1000000,"mss":1360},"community_id":"1:kY+WSkG/l4zrGNKB7q++H/E/RSc="}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := write(tt.in)
			if diff := cmp.Diff(tt.want+"\n", got); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("not valid JSON: %s", got)
			}
		})
	}
}

// Values from outside must not end the line, the string, or anything in a terminal.
func TestWriteHostile(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{
		"", `"`, `\`, `","outcome":"established`, "a\nb\r\tc", "\x1b[31mred\x00\x7f", "\u2028\u2029", "ünï 😀", "\xff\xfe\xc3", "%n%s{}", "</script>", "0", "007", "-1", "1e3", "none",
	} {
		checkHostile(t, hostile)
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("\x00\"\\\n\u2028😀\xff")
	f.Fuzz(func(t *testing.T, s string) { checkHostile(t, s) })
}

var printableLine = regexp.MustCompile(`\A[\x20-\x7e]+\n\z`)

func checkHostile(t *testing.T, hostile string) {
	t.Helper()
	r := recordtest.Refused()
	r.Upstream = &flow.Upstream{Error: "x" + hostile}
	r.Rewrites = []handshake.Rewrite{{From: hostile, To: hostile}}
	line := write(r)
	if !printableLine.MatchString(line) {
		t.Errorf("line for %q is not one of printable ASCII: %q", hostile, line)
	}
	var got struct {
		Upstream struct{ Error string }
		Rewrites []struct{ From, To Value }
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("line for %q: %v", hostile, err)
	}
	want := strings.ToValidUTF8(hostile, "\ufffd")
	if !utf8.ValidString(hostile) { // one replacement for each byte, as encoding/json writes them
		b, err := json.Marshal(hostile)
		if err == nil {
			err = json.Unmarshal(b, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	from := want
	if want == "none" { // which has no from
		from = ""
	}
	if got.Upstream.Error != "x"+want || len(got.Rewrites) != 1 || string(got.Rewrites[0].From) != from ||
		string(got.Rewrites[0].To) != want {
		t.Errorf("decoded %+v, want %q", got, want)
	}
	checkHostileNames(t, hostile, want)
}

// checkHostileNames has the values of datagrams and flows that come from outside be hostile.
func checkHostileNames(t *testing.T, hostile, want string) {
	t.Helper()
	x := "x" + hostile
	d := AttributedDatagram{
		Datagram: &flow.Datagram{
			Proto: flow.UDP, Client: recordtest.Refused().Client, Server: recordtest.Refused().Server, Time: start,
			DNS:      &flow.DNS{Queries: []flow.Question{{Name: x, Type: 1}}},
			QUIC:     &flow.QUIC{Version: "1", Hello: &flow.Hello{SNI: x, ALPN: []string{x}, Version: "1.3"}},
			Decision: &flow.Decision{Deny: true, Rule: x, Reason: x},
		},
		Opening: &Opening{Owner: &Owner{PID: 1, User: x, Process: x, Exe: x, Unit: x, Container: x}, Name: &Name{x, "dns", []string{x}}},
	}
	d.Datagram.Opening = d.Opening
	f := AttributedFlow{Flow: flow.Flow{
		Datagram: d.Datagram, Started: start, HTTPHost: x,
		DNS: &flow.DNS{Response: true, Answers: []flow.Record{{Name: x, Data: x}}},
	}}
	w := Writer{Run: NewRun(x, "", start)}
	for _, line := range [][]byte{w.Datagram(nil, 1, &d), w.Flow(nil, 2, &f, 1)} {
		if !printableLine.Match(line) {
			t.Errorf("line for %q is not one of printable ASCII: %q", hostile, line)
		}
		if err := recordtest.Validate(line); err != nil {
			t.Error(err)
		}
		var of Flow
		if err := json.Unmarshal(line, &of); err != nil || of.Name != "x"+want || of.Exe != "x"+want || of.Host != "x"+want {
			t.Errorf("decoded %q, %q and %q, want %q: %v", of.Name, of.Exe, of.Host, "x"+want, err)
		}
	}
}

// The test vectors are the published ones (github.com/corelight/community-id-spec, seed 0).
func TestCommunityID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		proto      flow.Proto
		a, b, want string
	}{
		{flow.TCP, "128.232.110.120:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{flow.TCP, "[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943", "[2607:f8b0:400c:c03::1a]:25", "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
		{flow.UDP, "192.168.1.52:54585", "8.8.8.8:53", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{flow.ICMP, "192.168.0.89:4711", "192.168.0.1:0", "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
	} {
		a, b := netip.MustParseAddrPort(tt.a), netip.MustParseAddrPort(tt.b)
		if got := string(AppendCommunityID(nil, tt.proto, a, b)); got != tt.want {
			t.Errorf("Community ID of %v and %v = %s, want %s", a, b, got, tt.want)
		}
		if got := string(AppendCommunityID(nil, tt.proto, b, a)); got != tt.want && tt.proto != flow.ICMP {
			t.Errorf("Community ID of %v and %v = %s, want %s", b, a, got, tt.want)
		}
	}
}

func TestWriteFlow(t *testing.T) {
	t.Parallel()
	r := recordtest.Handshake(1051, start)
	f := flow.Flow{
		Key: r.Key(), ServerISN: r.ServerISN, Started: start,
		Duration: 1500 * time.Millisecond, Outbound: 10, Inbound: 20, Retransmits: 1, End: flow.ClientFIN,
	}
	d := flow.Datagram{Proto: flow.UDP, Client: r.Client, Server: r.Server, Time: start}
	overUDP := flow.Flow{
		Datagram: &d, Started: start, Duration: 1500 * time.Millisecond, Outbound: 10, Inbound: 20,
		Outcome: flow.Answered, OutboundPackets: 1, InboundPackets: 2,
	}
	const head = `{"time":"2026-11-23T07:50:01.623456Z","level":"info","msg":"flow","seq":2,`
	const ends = `"family":4,"src":"192.0.2.1","sport":1051,"dst":"198.51.100.2","dport":80,`
	for _, tt := range []struct {
		flow flow.Flow
		want string
	}{
		{f, `"proto":"tcp","handshake_seq":1,` + ends + `"client_isn":4255483971,"server_isn":4279842714,"duration_us":1500000,` +
			`"outbound_bytes":10,"inbound_bytes":20,"retransmits":1,"closed_by":"client","close":"fin","community_id":"1:kY+WSkG/l4zrGNKB7q++H/E/RSc="}`},
		{overUDP, `"proto":"udp","datagram_seq":1,"outcome":"answered",` + ends + `"duration_us":1500000,` +
			`"outbound_packets":1,"inbound_packets":2,"outbound_bytes":10,"inbound_bytes":20,"community_id":"` +
			string(AppendCommunityID(nil, flow.UDP, r.Client, r.Server)) + `"}`},
	} {
		got := new(Writer).Flow(nil, 2, &AttributedFlow{Flow: tt.flow}, 1)
		if diff := cmp.Diff(head+tt.want+"\n", string(got)); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	}
}

// A DNS message of any size makes a record that readers take.
func TestWriteLargeDNS(t *testing.T) {
	t.Parallel()
	d := flow.DNS{Response: true}
	for range 6000 {
		name := strings.Repeat(`\000`, 255)
		d.Queries = append(d.Queries, flow.Question{Name: name, Type: 1})
		d.Answers = append(d.Answers, flow.Record{Name: name, Type: 16, Data: strings.Repeat("\x00", 255)})
	}
	f := everythingOver(everythingBegun())
	f.DNS = &d
	line := new(Writer).Flow(nil, 1, f, 1)
	if err := recordtest.Validate(line); err != nil || len(line) > MaxLine {
		t.Errorf("%d bytes, %v", len(line), err)
	}
	var got Flow
	if err := json.Unmarshal(line, &got); err != nil || len(got.DNS.Queries) == 0 || len(got.DNS.Answers) == 0 {
		t.Errorf("the record has %d questions and %d answers, %v", len(got.DNS.Queries), len(got.DNS.Answers), err)
	}
}

// A log numbers an opening without regard to other logs.
func TestOpeningNumbers(t *testing.T) {
	t.Parallel()
	var o Opening
	var one, other Numbering
	o.Number(&one, 7)
	o.Number(&other, 9)
	o.Number(&one, 8)
	if o.Seq(&one) != 8 || o.Seq(&other) != 9 || o.Seq(new(Numbering)) != 0 || (*Opening)(nil).Seq(&one) != 0 {
		t.Errorf("numbers %d and %d, want 8 and 9", o.Seq(&one), o.Seq(&other))
	}
}

func BenchmarkWriter(b *testing.B) {
	a := Attributed{Record: recordtest.Handshake(1051, start)}
	var w Writer
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = w.Handshake(line[:0], 1, &a)
	}
}
