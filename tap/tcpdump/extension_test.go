package tcpdump

import (
	"net/netip"
	"slices"
)

func extensionTests() []lineTest {
	options := func(next byte, bytes ...byte) []byte {
		return append([]byte{next, byte(len(bytes)-6) / 8}, bytes...)
	}
	padding := []byte{1, 4, 0, 0, 0, 0}
	hop := netip.MustParseAddr("2001:db8::99").AsSlice()
	routing := func(kind byte, fields ...byte) []byte {
		return slices.Concat([]byte{protoTCP, 2, kind, 1}, fields, hop)
	}
	fragment := func(offset byte, bytes ...byte) []byte {
		return append([]byte{protoTCP, 0, 0, offset, 0, 0, 0, 7}, bytes...)
	}
	join := func(headers ...[]byte) []byte { return slices.Concat(headers...) }
	jumbo := func(bytes ...byte) *Packet {
		return packet(with(ip6(0, join(options(protoTCP, bytes...), syn())), 4, 0, 0))
	}
	return []lineTest{
		{
			"hop-by-hop", packet(ip6(0, join(options(protoTCP, padding...), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"destination options", packet(ip6(60, join(options(protoTCP, padding...), syn()))),
			"2001:db8::1 > 2001:db8::2: DSTOPT 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: DSTOPT 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"all of them", packet(ip6(0, join(options(60, padding...), options(43, padding...), routing(0, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH DSTOPT srcrt (len=2, type=0, segleft=1, [0]2001:db8::99) 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH DSTOPT RT6 (len=2, type=0 [Deprecated], segleft=1, [0]2001:db8::99) 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"hop-by-hop twice", packet(ip6(0, join(options(0, padding...), options(protoTCP, padding...), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH [The Hop-by-Hop Options header was already found] (invalid)",
		},
		{
			"hop-by-hop second", packet(ip6(60, join(options(0, padding...), options(protoTCP, padding...), syn()))),
			"2001:db8::1 > 2001:db8::2: DSTOPT HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: DSTOPT [The Hop-by-Hop Options header don't follow the IPv6 header] (invalid)",
		},
		{
			"options cut", cut(ip6(60, options(protoTCP, padding...)), 3),
			"2001:db8::1 > 2001:db8::2: [|DSTOPT]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2:  [|dstopt]",
		},
		{
			"options cut before their length", cut(ip6(60, options(protoTCP, padding...)), 7),
			"2001:db8::1 > 2001:db8::2: [|DSTOPT]",
			"IP6 2001:db8::1 > 2001:db8::2:  [|dstopt]",
		},
		{
			"hop-by-hop cut", cut(ip6(0, options(protoTCP, padding...)), 3),
			"2001:db8::1 > 2001:db8::2: [|HBH]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2:  [|hbhopt]",
		},
		{
			"option longer than its header", packet(ip6(0, join(options(protoTCP, 1, 5, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH  [|hbhopt]",
		},
		{
			"router alert", packet(ip6(0, join(options(protoTCP, 5, 2, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"router alert too short", packet(ip6(0, join(options(protoTCP, 5, 1, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH (rtalert: invalid len 1) [|hbhopt]",
		},
		{
			"router alert at the end", packet(ip6(0, join(options(protoTCP, 1, 1, 0, 5, 1, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH (rtalert: trunc) [|hbhopt]",
		},
		{
			"home address too short", packet(ip6(0, join(options(protoTCP, 0xc9, 4, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH (homeaddr: trunc) [|hbhopt]",
		},

		{
			"jumbogram", jumbo(0xc2, 4, 0, 1, 0, 0),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:972(4294967268) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH truncated-ip6 - 65508 bytes missing!1051 > 7: Flags [S], seq 1000:66508, win 512, length 65508",
		},
		{
			"jumbo length within the headers", jumbo(0xc2, 4, 255, 255, 255, 255),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:972(4294967268) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH  [|ip6]",
		},
		{
			"jumbo length too small", jumbo(0xc2, 4, 0, 0, 0, 99),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:972(4294967268) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH [No valid Jumbo Payload Hop-by-Hop option found] (invalid)",
		},
		{
			"jumbo option of another length", jumbo(0xc2, 3, 0, 0, 0, 99),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:972(4294967268) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH (jumbo: invalid len 3) [|hbhopt][No valid Jumbo Payload Hop-by-Hop option found] (invalid)",
		},
		{
			"jumbo length missing", jumbo(padding...),
			"2001:db8::1 > 2001:db8::2: HBH 1051 > 7: S 1000:972(4294967268) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: HBH [No valid Jumbo Payload Hop-by-Hop option found] (invalid)",
		},
		{
			"payload length 0 behind options", packet(with(ip6(60, join(options(protoTCP, padding...), syn())), 4, 0, 0)),
			"2001:db8::1 > 2001:db8::2: DSTOPT 1051 > 7: S 1000:972(4294967268) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: DSTOPT  [|ip6]",
		},

		{
			"routing type 0", packet(ip6(43, join(routing(0, 1, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: srcrt (len=2, type=0, segleft=1, rsv=0x1000000, [0]2001:db8::99) 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2, type=0 [Deprecated], segleft=1, rsv=0x1000000, [0]2001:db8::99) 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"routing type 2", packet(ip6(43, join(routing(2, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: srcrt (len=2, type=2, segleft=1[|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2, type=2, segleft=1, [0]2001:db8::99) 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"routing type 4", packet(ip6(43, join(routing(4, 3, 8, 0, 0x1f), syn()))),
			"2001:db8::1 > 2001:db8::2: srcrt (len=2, type=4, segleft=1[|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2, type=4, segleft=1, last-entry=3, flags=0x8, tag=1f, [0]2001:db8::99) 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"routing type 7", packet(ip6(43, join(routing(7, 0, 0, 0, 0), syn()))),
			"2001:db8::1 > 2001:db8::2: srcrt (len=2, type=7, segleft=1[|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2, type=7, segleft=1 (unknown type) (invalid)",
		},
		{
			"routing of odd length", packet(ip6(43, join(with(routing(0, 0, 0, 0, 0), 1, 1), syn()))),
			"2001:db8::1 > 2001:db8::2: srcrt (len=1, type=0, segleft=1[|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=1, type=0 [Deprecated], segleft=1 (invalid length 1) (invalid)",
		},
		{
			"routing cut in an address", cut(ip6(43, routing(0, 0, 0, 0, 0)), 1),
			"2001:db8::1 > 2001:db8::2: srcrt (len=2, type=0, segleft=1[|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2, type=0 [Deprecated], segleft=1 [|rt6]",
		},
		{
			"routing cut in its first word", cut(ip6(43, routing(0, 0, 0, 0, 0)), 22),
			"2001:db8::1 > 2001:db8::2: [|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2 [|rt6]",
		},
		{
			"routing type 4 cut behind the last entry", cut(ip6(43, routing(4, 1, 2, 0, 0)), 18),
			"2001:db8::1 > 2001:db8::2: srcrt (len=2, type=4, segleft=1[|srcrt]0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: RT6 (len=2, type=4, segleft=1, last-entry=1, flags=0x2 [|rt6]",
		},
		{
			"routing not captured", cut(ip6(43, routing(0, 0, 0, 0, 0)), 24),
			"2001:db8::1 > 2001:db8::2: [|srcrt]",
			"IP6 2001:db8::1 > 2001:db8::2:  [|ip6]",
		},

		{
			"first fragment", packet(ip6(44, fragment(1, syn()...))),
			"2001:db8::1 > 2001:db8::2: frag (0|20) 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: frag (0|20) 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"later fragment", packet(ip6(44, fragment(8, syn()...))),
			"2001:db8::1 > 2001:db8::2: frag (8|20)",
			"IP6 2001:db8::1 > 2001:db8::2: frag (8|20)",
		},
		{
			"fragment header only", packet(ip6(44, fragment(1))),
			"2001:db8::1 > 2001:db8::2: frag (0|0) ",
			"IP6 2001:db8::1 > 2001:db8::2: frag (0|0) ",
		},
		{
			"fragment cut", cut(ip6(44, fragment(1)), 5),
			"2001:db8::1 > 2001:db8::2: [|frag]",
			"IP6 2001:db8::1 > 2001:db8::2:  [|frag6]",
		},
		{
			"fragment of no length", packet(with(ip6(44, fragment(9, 1)), 4, 0, 0)),
			"2001:db8::1 > 2001:db8::2: frag (8|-8)",
			"IP6 2001:db8::1 > 2001:db8::2: frag (8|18446744073709551608)",
		},
		{
			"not TCP", packet(ip6(17, syn())),
			"2001:db8::1 > 2001:db8::2: ip-proto-17 20",
			"IP6 2001:db8::1 > 2001:db8::2:  ip-proto-17 20",
		},
		{
			"payload length within the headers", packet(with(ip6(60, join(options(protoTCP, padding...), syn())), 4, 0, 4)),
			"2001:db8::1 > 2001:db8::2: DSTOPT 1051 > 7: S 1000:976(4294967272) win 512",
			"IP6 2001:db8::1 > 2001:db8::2:  [|dstopt]",
		},
	}
}
