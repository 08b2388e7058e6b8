package policy_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"syntap/tap/policy"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

var (
	client4, server4 = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("198.51.100.2")
	client6, server6 = netip.MustParseAddr("2001:db8:1::2"), netip.MustParseAddr("2001:db8:2::2")
)

// syn is one generated SYN or SYN-ACK.
type syn struct {
	name    string
	options []byte // of TCP
	is6     bool
	flags   uint8
	payload []byte
	between []byte // IPv4 options, or an IPv6 extension header of destination options

	// Where the kernel does otherwise; see doc.go.
	second      int  // offset of the value of a second MSS in options
	odd         bool // the value of an MSS stands at an odd offset
	wrongLength bool // an MSS option has not four bytes
}

// packet returns the segment from a client port.
func (s *syn) packet(port uint16) []byte {
	src, dst := client4, server4
	if s.is6 {
		src, dst = client6, server6
	}
	tcp := tuntest.TCP{
		Src: netip.AddrPortFrom(src, port), Dst: netip.AddrPortFrom(dst, 443),
		Seq: 4255483971, Flags: s.flags, Window: 64240, Options: s.options, Payload: s.payload,
	}
	if !s.is6 {
		tcp.IP.Options = s.between
		return tcp.Packet()
	}
	b := tcp.Packet()
	if len(s.between) > 0 {
		const destinationOptions = 60
		b[6] = destinationOptions
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40+len(s.between)))
		b = slices.Insert(b, 40, s.between...)
	}
	return b
}

// segment returns a copy of the frame as the rules take it, with room for one more option.
func (s *syn) segment(f tuntest.Frame) *policy.Packet {
	p := parsed(append(make([]byte, 0, len(f.Data)+4), f.Data...), packet.Outbound)
	p.Partial = f.Offload.Flags&tun.NeedsCsum != 0
	return p
}

// parsed returns a packet as the rules take it.
func parsed(b []byte, d packet.Direction) *policy.Packet {
	p := &policy.Packet{Buf: b, Headers: new(packet.Headers), Direction: d}
	p.Headers.Parse(b, len(b))
	return p
}

// String names the segment in messages.
func (s *syn) String() string {
	return fmt.Sprintf("%s (IPv6 %t, flags %#x, payload %q, IP options %x)", s.name, s.is6, s.flags, s.payload, s.between)
}

// tcp is the offset of the TCP header.
func (s *syn) tcp() int {
	if s.is6 {
		return 40 + len(s.between)
	}
	return 20 + len(s.between)
}

// mss returns an MSS option.
func mss(v uint16) []byte { return []byte{2, 4, byte(v >> 8), byte(v)} }

// nops returns n no-operation options.
func nops(n int) []byte { return slices.Repeat([]byte{1}, n) }

// option returns an option of n bytes that is not the MSS.
func option(kind byte, n int) []byte {
	b := slices.Repeat([]byte{0xa5}, n)
	b[0], b[1] = kind, byte(n)
	return b
}

// optionLists returns lists of TCP options, good and bad.
func optionLists() (lists []*syn) {
	add := func(name string, options ...[]byte) *syn {
		s := &syn{name: name, options: slices.Concat(options...)}
		lists = append(lists, s)
		return s
	}
	sackOK, timestamp, wscale := option(4, 2), option(8, 10), option(3, 3)

	add("no option")
	add("Linux without MSS", sackOK, timestamp, nops(1), wscale)
	for n := 1; n <= 40; n += 3 {
		add(fmt.Sprintf("%d NOP", n), nops(n))
	}
	for n := 36; n <= 40; n++ {
		add(fmt.Sprintf("one unknown option of %d", n), option(200, n))
	}
	for _, v := range []uint16{0, 1, 535, 536, 537, 1219, 1220, 1221, 1239, 1240, 1241, 1339, 1340, 1341, 1359, 1360, 1361, 1460, 8960, 65535} {
		add(fmt.Sprintf("MSS %d", v), mss(v))
		add(fmt.Sprintf("Linux with MSS %d", v), mss(v), sackOK, timestamp, nops(1), wscale)
	}
	for at := range 37 {
		add(fmt.Sprintf("MSS 8960 at %d", at), nops(at), mss(8960)).odd = at%2 == 1
		if at >= 2 {
			add(fmt.Sprintf("MSS 8960 behind an option of %d", at), option(200, at), mss(8960)).odd = at%2 == 1
		}
	}
	add("MSS in a list of 40", timestamp, option(200, 16), mss(8960), option(201, 10))
	for _, pair := range [][2]uint16{{1460, 1460}, {1460, 500}, {500, 1460}, {500, 400}} {
		add(fmt.Sprintf("MSS %d and %d", pair[0], pair[1]), mss(pair[0]), sackOK, mss(pair[1])).second = 8
	}
	for _, n := range []int{2, 3, 5, 6} {
		add(fmt.Sprintf("MSS of length %d", n), option(2, n)).wrongLength = true
		s := add(fmt.Sprintf("MSS of length %d and 1460", n), option(2, n), mss(1460))
		s.odd, s.wrongLength = n%2 == 1, true
	}
	add("length 0", []byte{200, 0})
	add("length 0, MSS", []byte{200, 0}, mss(1460))
	add("length 1", []byte{200, 1})
	add("length 1, MSS", []byte{200, 1}, mss(1460))
	add("length beyond the header", []byte{200, 41})
	add("length beyond the header, MSS", []byte{200, 41}, mss(1460))
	add("MSS, length 0", mss(1460), []byte{200, 0})
	add("kind in the last byte", nops(39), []byte{2})
	add("MSS cut off", nops(37), []byte{2, 4, 5})
	add("MSS behind the end of the list", []byte{0}, mss(1460)).odd = true
	add("MSS before and behind the end of the list", mss(1460), []byte{0, 0}, mss(1460)).second = 8
	return lists
}

// syns returns every list in a SYN over IPv4 and over IPv6, some of them in a SYN-ACK, with payload
// and with a longer IP header too.
func syns() (all []*syn) {
	for i, list := range optionLists() {
		for _, is6 := range []bool{false, true} {
			plain, other := *list, *list
			plain.is6, plain.flags = is6, tuntest.SYN
			other.is6, other.flags = is6, tuntest.SYN|tuntest.ACK
			all = append(all, &plain)
			switch i % 5 {
			case 0:
				all = append(all, &other)
			case 1:
				other.payload = []byte("odd")
				all = append(all, &other)
			case 2:
				other.between = nops(8)
				if is6 {
					other.between = []byte{6, 0, 1, 4, 0, 0, 0, 0} // TCP follows; PadN
				}
				all = append(all, &other)
			}
		}
	}
	return all
}

func compileMSS(tb testing.TB, o policy.Options, rules ...policy.MSSRule) *policy.Rules {
	tb.Helper()
	r, err := policy.Compile(rules, nil, o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
