package inspect_test

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/inspect"
	"syntap/tun/flow"
)

// header returns the header of a message with the ID 0x1234, these flags and these counts.
func header(flags uint16, questions, answers, authorities, additionals byte) string {
	return string([]byte{0x12, 0x34, byte(flags >> 8), byte(flags), 0, questions, 0, answers, 0, authorities, 0, additionals})
}

// name returns a name as it is sent; its labels have no dots.
func name(s string) string {
	var b strings.Builder
	for label := range strings.SplitSeq(s, ".") {
		b.WriteString(string(rune(len(label))) + label)
	}
	return b.String() + "\x00"
}

// record returns a resource record of class IN with a TTL of 300 seconds, whose name is that of the
// question.
func record(typ byte, data string) string {
	return "\xc0\x0c\x00" + string([]byte{typ}) + "\x00\x01\x00\x00\x01\x2c" + string([]byte{byte(len(data) >> 8), byte(len(data))}) + data
}

const (
	query    = 0x0100
	response = 0x8180
	questA   = "\x00\x01\x00\x01"
)

func TestDNSQuery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, message string
		want          []flow.Question
	}{
		{"A", header(query, 1, 0, 0, 0) + name("www.Example.COM") + questA, []flow.Question{{Name: "www.example.com", Type: 1}}},
		{"root", header(query, 1, 0, 0, 0) + "\x00\x00\x02\x00\x01", []flow.Question{{Name: ".", Type: 2}}},
		{
			"two questions, one compressed", header(query, 2, 0, 0, 0) + name("a.example") + questA + "\x01b\xc0\x0e\x00\x1c\x00\x01",
			[]flow.Question{{Name: "a.example", Type: 1}, {Name: "b.example", Type: 28}},
		},
		{
			"EDNS", header(query, 1, 0, 0, 1) + name("example") + questA + "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
			[]flow.Question{{Name: "example", Type: 1}},
		},
		{
			"hostile labels", header(query, 1, 0, 0, 0) + "\x06a.b\\c\x1b\x04\"\xff (\x00" + questA,
			[]flow.Question{{Name: `a\.b\\c\027.\"\255\032\(`, Type: 1}},
		},
		{
			"type without a name", header(query, 1, 0, 0, 0) + name("example") + "\xff\x01\x00\x01",
			[]flow.Question{{Name: "example", Type: 0xff01}},
		},
	} {
		d, ok := inspect.DNS([]byte(tt.message))
		want := &flow.DNS{ID: 0x1234, Queries: tt.want}
		if diff := cmp.Diff(want, d); !ok || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, ok, diff)
		}
	}
}

func TestNoDNS(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("x", 63), 4)
	for name, message := range map[string]string{
		"empty":               "",
		"header only":         header(query, 1, 0, 0, 0),
		"no question":         header(query, 0, 0, 0, 0),
		"opcode UPDATE":       header(0x2800, 1, 0, 0, 0) + name("example") + questA,
		"nine questions":      header(query, 9, 0, 0, 0) + strings.Repeat("\x00"+questA, 9),
		"cut question":        header(query, 1, 0, 0, 0) + name("example") + questA[:3],
		"label beyond":        header(query, 1, 0, 0, 0) + "\x20example\x00" + questA,
		"name of 256 bytes":   header(query, 1, 0, 0, 0) + long + "\x00" + questA,
		"reserved label type": header(query, 1, 0, 0, 0) + "\x40example\x00" + questA,
		"pointer to itself":   header(query, 1, 0, 0, 0) + "\xc0\x0c" + questA,
		"pointer in a circle": header(query, 1, 0, 0, 0) + "\x01a\xc0\x0c" + questA,
		"pointer forwards":    header(query, 1, 0, 0, 0) + "\xc0\x12" + questA + "\x00\x00\x00\x00",
		"TLS":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x17", 100),
	} {
		b := []byte(message)
		if d, ok := inspect.DNS(b); ok {
			t.Errorf("%s: %+v", name, d)
		}
		// A name that was read before is not worth a second pass.
		if n := testing.AllocsPerRun(10, func() { inspect.DNS(b) }); n > 0 && name != "cut question" {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestDNSAnswers has the presentation forms as dig prints them.
func TestDNSAnswers(t *testing.T) {
	t.Parallel()
	fromHex := func(s string) string {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, tt := range []struct {
		typ        byte
		data, want string
	}{
		{1, "\xc0\x00\x02\x01", "192.0.2.1"},
		{28, fromHex("20010db8000000000000000000000001"), "2001:db8::1"},
		{2, name("NS.example"), "ns.example"},
		{5, "\x03cdn\xc0\x0e", "cdn.example"},
		{
			6, name("ns.example") + name("root.example") + fromHex("00000001000000020000000300000004ffffffff"),
			"ns.example root.example 1 2 3 4 4294967295",
		},
		{13, "\x03PC\"\x05Linux", `"PC\"" "Linux"`},
		{15, "\x00\x0a" + name("mail.example"), "10 mail.example"},
		{16, "\x04v=1 \x00\x02\x1b\xff", `"v=1 " "" "\027\255"`},
		{33, "\x00\x01\x00\x02\x01\xbb" + name("sip.example"), "1 2 443 sip.example"},
		{35, "\x00\x01\x00\x02\x01s\x03SIP\x00\x00", `1 2 "s" "SIP" "" .`},
		{43, fromHex("ec45080201ff"), "60485 8 2 01FF"},
		{
			46, fromHex("00010d020000012c6553f1006553f10004d2") + name("example") + fromHex("00ff"),
			"A 13 2 300 20231114221320 20231114221320 1234 example AP8=",
		},
		{52, fromHex("030101ab"), "3 1 1 AB"},
		{
			65, fromHex("000100") + fromHex("00010003026832") + fromHex("00040008c0000201c0000202") + fromHex("000500020102") +
				fromHex("0006001020010db8000000000000000000000001"),
			`1 . alpn="h2" ipv4hint=192.0.2.1,192.0.2.2 ech=AQI= ipv6hint=2001:db8::1`,
		},
		{64, fromHex("0000") + name("svc.example"), "0 svc.example"},
		{
			65, fromHex("000100") + fromHex("0000000400010003") + fromHex("00010007"+"03612c62"+"025c22") +
				fromHex("00020000") + fromHex("0003000201bb") + fromHex("000700012f") + fromHex("ff0000012a"),
			`1 . mandatory=alpn,port alpn="a\\,b,\\\\\"" no-default-alpn port=443 dohpath="/" key65280="*"`,
		},
		{250, "\x01\xab", `\# 2 01AB`},
		{99, "", `\# 0`},
	} {
		message := header(response, 1, 1, 0, 0) + name("a.example") + questA + record(tt.typ, tt.data)
		d, ok := inspect.DNS([]byte(message))
		if !ok || len(d.Answers) != 1 {
			t.Errorf("type %d: %+v, %v", tt.typ, d, ok)
			continue
		}
		want := flow.Record{Name: "a.example", Type: flow.RRType(tt.typ), TTL: 300, Data: tt.want}
		if diff := cmp.Diff(want, d.Answers[0]); diff != "" {
			t.Errorf("type %d: %s", tt.typ, diff)
		}
	}
}

// A response is read up to the first answer that is cut or malformed, and never beyond its bounds.
func TestDNSBounds(t *testing.T) {
	t.Parallel()
	question := name("a.example") + questA
	a := record(1, "\xc0\x00\x02\x01")
	for _, tt := range []struct {
		name, message string
		answers       int
		rcode         uint16
	}{
		{"no answer, NXDOMAIN", header(response|3, 1, 0, 0, 0) + question, 0, 3},
		{"no question, REFUSED", header(response|5, 0, 0, 0, 0), 0, 5},
		{"BADVERS", header(response, 1, 0, 0, 1) + question + "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00", 0, 16},
		{"BADCOOKIE behind an authority", header(response|7, 1, 1, 1, 1) + question + a + a + "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00", 1, 23},
		{"cut in an answer", header(response, 1, 3, 0, 0) + question + a + a[:7], 1, 0},
		{"cut in data", header(response, 1, 2, 0, 0) + question + a + a[:len(a)-1], 1, 0},
		{"A of 5 bytes", header(response, 1, 2, 0, 0) + question + a + record(1, "12345"), 1, 0},
		{"empty A", header(response, 1, 2, 0, 0) + question + a + record(1, ""), 1, 0},
		{"255 answers", header(response, 1, 255, 0, 1) + question + strings.Repeat(a, 255) + "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00", 64, 16},
		{"answer of class CH", header(response, 1, 1, 0, 0) + question + "\xc0\x0c\x00\x01\x00\x03\x00\x00\x00\x00\x00\x01x", 1, 0},
		{"name beyond the message", header(response, 1, 1, 0, 0) + question + "\xc0\xff" + a[2:], 0, 0},
		{"much text", header(response, 1, 100, 0, 0) + question + strings.Repeat(record(250, strings.Repeat("x", 1000)), 100), 9, 0},
	} {
		d, ok := inspect.DNS([]byte(tt.message))
		if !ok || !d.Response || len(d.Answers) != tt.answers || d.RCode != flow.RCode(tt.rcode) {
			t.Errorf("%s: %+v, %v", tt.name, d, ok)
			continue
		}
		text := 0
		for _, a := range d.Answers {
			text += len(a.Name) + len(a.Data)
		}
		if text > 18<<10 {
			t.Errorf("%s: %d bytes of text", tt.name, text)
		}
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	message := header(response, 1, 1, 0, 0) + name("a.example") + questA + "\xc0\x0c\x00\x01\x00\x01\x80\x00\x00\x00\x00\x04\xc0\x00\x02\x01"
	if d, ok := inspect.DNS([]byte(message)); !ok || d.Answers[0].TTL != 0 {
		t.Errorf("%+v, %v", d, ok)
	}
}

// FuzzDNS compares with dnsmessage wherever that can read a message.
func FuzzDNS(f *testing.F) {
	question := name("www.example.com") + questA
	f.Add([]byte(header(query, 1, 0, 0, 0) + question))
	f.Add([]byte(header(query, 2, 0, 0, 1) + question + "\x01b\xc0\x10\x00\x1c\x00\x01" + "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte(header(response, 1, 2, 0, 1) + question + record(5, "\x03cdn\xc0\x10") + record(1, "\xc0\x00\x02\x01") + "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00"))
	f.Add([]byte(header(response, 1, 1, 0, 0) + question + record(65, "\x00\x01\x00\x00\x01\x00\x03\x02h2\x00\x04\x00\x04\xc0\x00\x02\x01")))
	f.Add([]byte(header(response, 1, 1, 0, 0) + question + record(16, "\x04v=1 \x02\x1b\xff")))
	f.Fuzz(func(t *testing.T, message []byte) {
		d, ok := inspect.DNS(message)
		if ok {
			for _, q := range d.Queries {
				checkText(t, q.Name)
			}
			for _, a := range d.Answers {
				checkText(t, a.Name)
				checkText(t, a.Data)
			}
		}
		compareWithDNSMessage(t, message, d)
	})
}

func checkText(t *testing.T, s string) {
	t.Helper()
	if len(s) > 20<<10 {
		t.Errorf("%d bytes of text", len(s))
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			t.Errorf("%q is not printable", s)
		}
	}
}

// compareWithDNSMessage compares the questions and the addresses of a message that both can read.
func compareWithDNSMessage(t *testing.T, message []byte, d *flow.DNS) {
	t.Helper()
	var m dnsmessage.Message
	if d == nil || m.Unpack(message) != nil {
		return
	}
	if m.ID != d.ID || m.Response != d.Response || len(m.Questions) != len(d.Queries) {
		t.Fatalf("%+v\nis not %+v", d, m)
	}
	for i, q := range m.Questions {
		want := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
		if got := d.Queries[i]; got.Type != flow.RRType(q.Type) || !strings.ContainsAny(got.Name, `\`) && got.Name != want && want != "" {
			t.Errorf("%+v is not %+v", got, q)
		}
	}
	if !m.Response {
		return
	}
	for i, a := range m.Answers[:min(len(m.Answers), len(d.Answers))] {
		want := ""
		switch body := a.Body.(type) {
		case *dnsmessage.AResource:
			want = netip.AddrFrom4(body.A).String()
		case *dnsmessage.AAAAResource:
			want = netip.AddrFrom16(body.AAAA).String()
		}
		if want != "" && a.Header.Class == dnsmessage.ClassINET && d.Answers[i].Data != want {
			t.Errorf("%+v is not %v", d.Answers[i], want)
		}
	}
}
