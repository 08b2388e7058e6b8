package record

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

// everything is a record that has every member, but those of captures that contradict each other.
func everything() *Attributed {
	r := recordtest.Handshake(1051, start)
	r.Outcome, r.AbortedBy, r.SYNRetransmits, r.Simultaneous = handshake.Aborted, handshake.Client, 1, true
	r.Copies, r.Answers, r.Conflict = 3, 2, handshake.ConflictRST|handshake.ConflictSYN
	r.Rewrites = []handshake.Rewrite{{Packet: "syn", What: "mss", From: "1460", To: "1360", Rule: 2}}
	r.Upstream = &flow.Upstream{
		Local: netip.MustParseAddrPort("203.0.113.9:40000"), Remote: r.Server, DialTime: time.Second, MSS: 1360,
		Error: "ECONNREFUSED", Decision: denial,
	}
	p := &r.Segments[0].Packet
	p.Length, p.EtherType, p.VLANs, p.Prefix = 46, 0x86dd, []uint16{5, 6}, [2]string{"IP 48: ", "lo    In  "}
	r.Segments[1].Payload = 7
	return &Attributed{Record: r, Opening: opening}
}

var (
	denial  = &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "egress.deny forbids 198.51.100.0/24"}
	opening = &Opening{
		Owner: &Owner{1000, "ada", 4711, `we"ird`, "/opt/we\"ird", "user@1000.service", "0123456789ab"},
		Name:  &Name{"www.example.com", "dns", []string{"example.net"}},
	}
	hello    = &flow.Hello{Version: "1.3", SNI: "www.example.com", ALPN: []string{"h3", "h2"}, ECH: true}
	question = flow.Question{Name: "www.example.com", Type: 1}
)

// everythingBegun is the record of a first datagram that has every member.
func everythingBegun() *AttributedDatagram {
	return &AttributedDatagram{Opening: opening, Datagram: &flow.Datagram{
		Proto: flow.UDP, Client: netip.MustParseAddrPort("192.0.2.1:1051"), Server: netip.MustParseAddrPort("198.51.100.2:53"),
		Time: start, Length: 33, Upstream: netip.MustParseAddrPort("198.51.100.2:53"), Denied: true, Decision: denial,
		DNS: &flow.DNS{Queries: []flow.Question{question, {Name: `\"`, Type: 65280}}}, QUIC: &flow.QUIC{Version: "1", Hello: hello},
	}}
}

// everythingOver is the record of the end of a flow, of TCP or without a handshake, that has every
// member of its protocol.
func everythingOver(d *AttributedDatagram) *AttributedFlow {
	f := &AttributedFlow{NameConflict: true, Flow: flow.Flow{
		Key: everything().Key(), ServerISN: 7, Started: start, Duration: 1500 * time.Millisecond, Outbound: 10, Inbound: 20,
		Retransmits: 1, End: flow.ClientFIN, Opening: opening, Hello: hello, HTTPHost: "example.org",
		DNS: &flow.DNS{Response: true, RCode: 3, Queries: []flow.Question{question}, Answers: []flow.Record{{Name: "a", Type: 5, TTL: 60, Data: "b"}}},
	}}
	if d != nil {
		d.Datagram.Opening = opening
		f.Datagram, f.Outcome, f.OutboundPackets, f.InboundPackets = d.Datagram, flow.PortRefused, 3, 4
	}
	return f
}

// everythingFound is a finding that has every member.
func everythingFound() *Finding {
	stall := Stall{"192.0.2.1", 1051, "198.51.100.2", 443, 3e6, 1448, 536, 10, 1, 3, 4, 2, 1, 7, 1180}
	return &Finding{
		Proto: "udp", DPort: 53,
		Header: Header{Time: start}, Kind: BlackHole, Confidence: Medium, Family: 4, Leg: ClientLeg, Dst: "198.51.100.0/24",
		Name: "www.example.com", Direction: "up", Passes: 1400, Fails: 1401, Flows: 2, Clamp: 1360, Applied: true,
		Expires: start, Stalls: []Stall{stall, stall},
	}
}

// undialled is the record of an attempt whose SYN the router dropped for lack of room.
func undialled() *handshake.Record {
	r := recordtest.Refused()
	r.Outcome, r.Upstream = handshake.NoReply, &flow.Upstream{Error: "ENOBUFS"}
	return r
}

// unanswered is the record of a handshake whose SYN-ACK was not captured.
func unanswered() *handshake.Record {
	r := recordtest.Refused()
	r.Outcome, r.ServerISN, r.ISNFromData = handshake.Established, 5000, true
	return r
}

// ping is an echo request over IPv6 of which nothing but itself is known.
func ping() *flow.Datagram {
	return &flow.Datagram{
		Proto: flow.ICMP, Client: netip.MustParseAddrPort("[2001:db8::1]:7"), Server: netip.MustParseAddrPort("[2001:db8::2]:0"),
		Time: start, Upstream: netip.MustParseAddrPort("[2001:db8::2]:0"), Length: 56,
	}
}

// The types say all that the Writer writes, in the same order and form: what is decoded and encoded
// again is the same line.
func TestTypesMatchWriter(t *testing.T) {
	t.Parallel()
	w := Writer{Chain: NewChain(nil), Run: NewRun("gateway", "5e9b", start)}
	header := Header{Time: start, Level: "warning"}
	written := make(map[reflect.Type]map[string]any) // members of the records of a type
	for _, tt := range []struct {
		line []byte
		into any
	}{
		{w.Handshake(nil, 1, everything()), new(Handshake)},
		{w.Handshake(nil, 2, &Attributed{Record: recordtest.Refused()}), new(Handshake)},
		{w.Handshake(nil, 6, &Attributed{Record: undialled()}), new(Handshake)},
		{w.Handshake(nil, 7, &Attributed{Record: unanswered()}), new(Handshake)},
		{w.Flow(nil, 3, everythingOver(nil), 1), new(Flow)},
		{w.Flow(nil, 7, everythingOver(everythingBegun()), 1), new(Flow)},
		{w.Flow(nil, 8, &AttributedFlow{Flow: flow.Flow{End: flow.ServerRST, Key: everything().Key(), Started: start}}, 0), new(Flow)},
		{w.Flow(nil, 9, &AttributedFlow{Flow: flow.Flow{Started: start, Datagram: ping()}}, 0), new(Flow)},
		{w.Datagram(nil, 10, everythingBegun()), new(Datagram)},
		{w.Datagram(nil, 11, &AttributedDatagram{Datagram: ping()}), new(Datagram)},
		{w.Gap(nil, 4, &Gap{Header: header, From: start, To: start, Lost: 1, Refused: 2, First: 3, Last: 4, Reason: Cut}), new(Gap)},
		{w.Finding(nil, 12, everythingFound()), new(Finding)},
		{w.Finding(nil, 13, &Finding{Header: header, Kind: BlackHole, Confidence: High}), new(Finding)},
		{w.End(nil, 5, &End{Header: header, Records: Counts{1, 2, 3, 4, 5}, Frames: &Frames{4, 5, 6}}), new(End)},
	} {
		decoder := json.NewDecoder(bytes.NewReader(tt.line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(tt.into); err != nil {
			t.Errorf("%T: %v", tt.into, err)
		}
		if err := recordtest.Validate(tt.line); err != nil {
			t.Error(err)
		}
		var again bytes.Buffer
		encoder := json.NewEncoder(&again)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(tt.into); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(tt.line), again.String()); diff != "" {
			t.Errorf("%T (-written +decoded and encoded):\n%s", tt.into, diff)
		}
		of := reflect.TypeOf(tt.into).Elem()
		if written[of] == nil {
			written[of] = make(map[string]any)
		}
		members := written[of]
		if err := json.Unmarshal(tt.line, &members); err != nil {
			t.Fatal(err)
		}
	}
	for of, members := range written { // no member is missing in all records of a type
		if diff := cmp.Diff(sorted(keys(of)), slices.Sorted(maps.Keys(members))); diff != "" {
			t.Errorf("members of a %v (-Go +written):\n%s", of, diff)
		}
	}
	var h Handshake
	if err := json.Unmarshal(new(Writer).Handshake(nil, 1, everything()), &h); err != nil {
		t.Fatal(err)
	}
	for i, s := range h.Segments { // no member is missing in the record that has them all
		for j := range reflect.TypeFor[Segment]().NumField() {
			if i == 0 && reflect.ValueOf(s).Field(j).IsZero() && !slices.Contains([]string{"At", "Ack", "Len"}, reflect.TypeFor[Segment]().Field(j).Name) {
				t.Errorf("segment has no %s", reflect.TypeFor[Segment]().Field(j).Name)
			}
		}
	}
}

// The keys that the live page reads are keys of the types.
func TestTypesMatchPage(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../web/page/*.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var page []byte
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page = append(page, b...)
	}
	for _, tt := range []struct {
		variable string
		of       reflect.Type
		own      []string // keys of the other type that it may be
	}{
		{"record", reflect.TypeFor[Handshake](), nil},
		{"opening", reflect.TypeFor[Handshake](), keys(reflect.TypeFor[Datagram]())},
		{"datagram", reflect.TypeFor[Datagram](), nil},
		{"flow", reflect.TypeFor[Flow](), nil},
		{"quic", reflect.TypeFor[QUIC](), nil},
		{"segment", reflect.TypeFor[Segment](), nil},
		{"offer", reflect.TypeFor[Offer](), nil},
		{"upstream", reflect.TypeFor[Upstream](), nil},
		{"rewrite", reflect.TypeFor[Rewrite](), nil},
	} {
		known := append(keys(tt.of), tt.own...)
		read := regexp.MustCompile(`\b`+tt.variable+`\??\.(\w+)`).FindAllSubmatch(page, -1)
		if len(read) == 0 {
			t.Errorf("the page reads nothing of a %s", tt.variable)
		}
		for _, key := range read {
			if !slices.Contains(known, string(key[1])) {
				t.Errorf("the page reads %s.%s, which no record has", tt.variable, key[1])
			}
		}
	}
}

// keys returns the JSON keys of a struct.
func keys(of reflect.Type) (all []string) {
	for _, f := range reflect.VisibleFields(of) {
		if key, _, _ := strings.Cut(f.Tag.Get("json"), ","); key != "" {
			all = append(all, key)
		}
	}
	return all
}

// checkText compares the text that is made of a record's segments with the text of its packets.
func checkText(t *testing.T, segments ...handshake.Segment) {
	t.Helper()
	r := recordtest.Handshake(1051, start)
	r.Segments = segments
	line := new(Writer).Handshake(nil, 1, &Attributed{Record: r})
	var l Line
	if l.Scan(bytes.TrimSuffix(line, []byte("\n"))) != Plain {
		t.Fatalf("%q is not a record", line)
	}
	if err := recordtest.Validate(line); err != nil {
		t.Error(err)
	}
	for _, d := range []tcpdump.Dialect{tcpdump.Classic, tcpdump.Modern} {
		var want []byte
		for i := range segments {
			want = append(tcpdump.Append(want, d, &segments[i].Packet), '\n')
		}
		got, ok := AppendText(nil, l.Raw(Segments), d)
		if diff := cmp.Diff(string(want), string(got)); diff != "" || ok != (len(segments) > 0) {
			t.Errorf("%t (-want +got):\n%s", ok, diff)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	checkText(t, everything().Segments...)
	checkText(t, recordtest.Handshake(1, start).Segments...)
	checkText(t)
	for _, segments := range []string{`[]`, `{}`, `[{"at_us":1}]`, `[{"hdr":"4"}]`, `[{"hdr":"zz"}]`, `[{"hdr":17}]`, `[{"hdr":"45"}`, `[{"hdr":"45"} {}]`, `[1]`, `[{"hdr":"45","wire":"x"}]`, ``} {
		if text, ok := AppendText([]byte("before"), []byte(segments), tcpdump.Classic); ok || string(text) != "before" {
			t.Errorf("AppendText of %s = %q, %t", segments, text, ok)
		}
	}
}

// FuzzText: whatever a packet is, its record prints it as the packet itself is printed.
func FuzzText(f *testing.F) {
	for _, s := range everything().Segments {
		f.Add(s.Packet.Data, s.Packet.Length, uint16(20), uint32(3), s.Packet.EtherType, uint16(7), "IP 48: ")
	}
	f.Fuzz(func(t *testing.T, data []byte, length int, tcp uint16, payload uint32, etherType, tag uint16, prefix string) {
		data = data[:min(len(data), 512)] // as much as the tracker keeps
		p := tcpdump.Packet{Data: data, Length: max(length, 0), EtherType: etherType, Prefix: [2]string{prefix, strings.ToUpper(prefix)}}
		if tag != 0 {
			p.VLANs = []uint16{tag, 1}
		}
		checkText(t, handshake.Segment{Time: start, Packet: p, TCP: tcp, Payload: payload})
	})
}
