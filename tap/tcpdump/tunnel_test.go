package tcpdump

import "slices"

func tunnelTests() []lineTest {
	gre := func(flags, etherType uint16, fields []byte, inner []byte) []byte {
		return slices.Concat([]byte{byte(flags >> 8), byte(flags), byte(etherType >> 8), byte(etherType)}, fields, inner)
	}
	ah := func(next byte, icv int, inner []byte) []byte {
		return slices.Concat([]byte{next, byte(1 + icv/4), 0, 0, 0, 0, 1, 0, 0, 0, 0, 9}, make([]byte, icv), inner)
	}
	outer := func(proto byte, inner []byte) []byte { return with(ip4(proto, inner), 6, 0x40) }
	inner := with(ip4(protoTCP, syn()), 8, 1)
	return []lineTest{
		{
			"IP in IP", packet(outer(protoIPv4, inner)),
			"192.0.2.1 > 198.51.100.1: 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512 [ttl 1] (ipip-proto-4)",
			"IP 192.0.2.1 > 198.51.100.1: IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"IPv6 in IP", packet(outer(protoIPv6, with(ip6(protoTCP, syn()), 7, 1))),
			"192.0.2.1 > 198.51.100.1: 2001:db8::1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512 [hlim 1] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: IP6 2001:db8::1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"IP in IPv6", packet(ip6(protoIPv4, inner)),
			"2001:db8::1 > 2001:db8::2: 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512 [ttl 1]",
			"IP6 2001:db8::1 > 2001:db8::2: IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"IPv6 in IPv6", packet(ip6(protoIPv6, ip6(protoTCP, syn()))),
			"2001:db8::1 > 2001:db8::2: 2001:db8::1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: IP6 2001:db8::1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"IP in IP, too short a length", packet(with(outer(protoIPv4, inner), 2, 0, 30)),
			"192.0.2.1 > 198.51.100.1: truncated-ip 10 (ipip-proto-4)",
			"IP 192.0.2.1 > 198.51.100.1: IP  [|ip]",
		},
		{
			"IPv6 in IP, too short a length", packet(with(outer(protoIPv6, ip6(protoTCP, syn())), 2, 0, 30)),
			"192.0.2.1 > 198.51.100.1: truncated-ip6 10 (DF)",
			"IP 192.0.2.1 > 198.51.100.1:  [|ip6]",
		},
		{
			"GRE, only a checksum", packet(outer(protoGRE, gre(greChecksum, etherIPv4, []byte{1, 2, 0, 0}, nil))),
			"192.0.2.1 > 198.51.100.1: gre [Cv0] [|gre] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: GREv0, off 0x0, length 8:  [|ip]",
		},
		{
			"AH, not captured", cut(outer(protoAH, ah(protoTCP, 0, nil)), 12),
			"192.0.2.1 > 198.51.100.1: [|AH] (DF)",
			"IP 192.0.2.1 > 198.51.100.1:  [|ah]",
		},
		{
			"GRE", packet(outer(protoGRE, gre(0, etherIPv4, nil, inner))),
			"192.0.2.1 > 198.51.100.1: gre 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512 [ttl 1] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: GREv0, length 44: IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"GRE with every field", packet(outer(protoGRE, gre(0xbaf8, etherIPv6, []byte{1, 2, 3, 4, 0, 0, 1, 2, 0, 0, 0, 5}, ip6(protoTCP, syn())))),
			"192.0.2.1 > 198.51.100.1: gre [CKSsAR2v0!78] K:00000102 S:5 2001:db8::1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512 (DF)",
			"IP 192.0.2.1 > 198.51.100.1: GREv0, off 0x304, key=0x102, seq 5, length 76: IP6 2001:db8::1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"GRE cut in a field", cut(outer(protoGRE, gre(greKey, etherIPv4, []byte{1, 2, 3, 4}, nil)), 1),
			"192.0.2.1 > 198.51.100.1: gre [Kv0] [|gre] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: GREv0 [|gre]",
		},
		{
			"GRE cut in its header", cut(outer(protoGRE, gre(0, etherIPv4, nil, nil)), 3),
			"192.0.2.1 > 198.51.100.1: [|gre] (DF)",
			"IP 192.0.2.1 > 198.51.100.1:  [|gre]",
		},
		{
			"GRE with nothing in it", packet(outer(protoGRE, gre(0, 0x88be, nil, nil))),
			"192.0.2.1 > 198.51.100.1: gre [|gre] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: GREv0, length 4: gre-proto-0x88be",
		},
		{
			"AH", packet(outer(protoAH, ah(protoTCP, 12, syn()))),
			"192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9): 1051 > 7: S 1000:1000(0) win 512 (DF)",
			"IP 192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9,icv=0x000000000000000000000000): 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"AH on IPv6", packet(ip6(protoAH, ah(protoTCP, 12, syn()))),
			"2001:db8::1 > 2001:db8::2: AH(spi=0x00000100,seq=0x9): 1051 > 7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1 > 2001:db8::2: AH(spi=0x00000100,seq=0x9,icv=0x000000000000000000000000): 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"AH twice", packet(outer(protoAH, ah(protoAH, 0, ah(protoTCP, 0, syn())))),
			"192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9): AH(spi=0x00000100,seq=0x9): 1051 > 7: S 1000:1000(0) win 512 (DF)",
			"IP 192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9,icv=0x): AH(spi=0x00000100,seq=0x9,icv=0x): 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"AH with reserved bits", packet(outer(protoAH, with(ah(protoTCP, 0, syn()), 2, 1, 2))),
			"192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9): 1051 > 7: S 1000:1000(0) win 512 (DF)",
			"IP 192.0.2.1 > 198.51.100.1: AH(reserved=0x102[MustBeZero],spi=0x00000100,seq=0x9,icv=0x): 1051 > 7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"AH, cut in the ICV", cut(outer(protoAH, ah(protoTCP, 12, nil)), 4),
			"192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9[truncated]): 192.0.2.1 > 198.51.100.1: [|tcp] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9,icv=0x0000000000000000 [|ah]",
		},
		{
			"AH, cut in its first word", cut(outer(protoAH, ah(protoTCP, 12, nil)), 22),
			"192.0.2.1 > 198.51.100.1: [|AH]192.0.2.1 > 198.51.100.1: [|tcp] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: AH( [|ah]",
		},
		{
			"AH, only its first byte", cut(outer(protoAH, ah(protoTCP, 12, nil)), 23),
			"192.0.2.1 > 198.51.100.1: [|AH]192.0.2.1 > 198.51.100.1: [|tcp] (DF)",
			"IP 192.0.2.1 > 198.51.100.1: AH [|ah]",
		},
		{
			"AH around IP", packet(outer(protoAH, ah(protoIPv4, 0, inner))),
			"192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9): 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512 [ttl 1] (ipip-proto-4)",
			"IP 192.0.2.1 > 198.51.100.1: AH(spi=0x00000100,seq=0x9,icv=0x): IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
	}
}
