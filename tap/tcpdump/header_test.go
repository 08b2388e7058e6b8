package tcpdump

func headerTests() []lineTest {
	padded := append(ip4(protoTCP, ack()), 0, 0, 0, 0, 0, 0)
	return []lineTest{
		{
			"null flags", packet(ip4(protoTCP, tcp(0, nil))),
			"192.0.2.1.1051 > 198.51.100.1.7: . win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [none], win 512, length 0",
		},
		{
			"all flags", packet(ip4(protoTCP, tcp(0xff, nil))),
			"192.0.2.1.1051 > 198.51.100.1.7: SFRPWE 1000:1000(0) ack 2000 win 512 urg 0",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [FSRP.UEW], seq 1000, ack 2000, win 512, urg 0, length 0",
		},
		{
			"data on an ACK", packet(ip4(protoTCP, tcp(flagACK|flagPSH, nil, 1, 2, 3))),
			"192.0.2.1.1051 > 198.51.100.1.7: P 1000:1003(3) ack 2000 win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [P.], seq 1000:1003, ack 2000, win 512, length 3",
		},
		{
			"range that wraps", packet(ip4(protoTCP, with(tcp(flagSYN, nil, 1, 2, 3), 4, 255, 255, 255, 255))),
			"192.0.2.1.1051 > 198.51.100.1.7: S 4294967295:2(3) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 4294967295:2, win 512, length 3",
		},
		{
			"padding", packet(padded),
			"192.0.2.1.1051 > 198.51.100.1.7: . ack 2000 win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [.], ack 2000, win 512, length 0",
		},
		{
			"reserved bits", packet(ip4(protoTCP, with(syn(), 12, 0x5f))),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},

		{
			"no byte", &Packet{EtherType: etherIPv4},
			"[|ip]",
			" [|ip]",
		},
		{
			"no byte of IPv6", &Packet{EtherType: etherIPv6},
			"[|ip6]",
			" [|ip6]",
		},
		{
			"no byte of anything", &Packet{},
			"[|ip]",
			" [|ip]",
		},
		{
			"unknown version", under(0, with(ip4(protoTCP, syn()), 0, 0x75)),
			"unknown ip 7",
			"unknown ip 7",
		},
		{
			"version by nibble", under(0, ip4(protoTCP, syn())),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"version 6 by nibble", under(0, ip6(protoTCP, syn())),
			"2001:db8::1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512",
			"IP6 2001:db8::1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"cut in IPv4", cut(ip4(protoTCP, syn()), 21),
			"[|ip]",
			"IP  [|ip]",
		},
		{
			"cut behind IPv4", cut(ip4(protoTCP, syn()), 20),
			"192.0.2.1 > 198.51.100.1: [|tcp]",
			"IP 192.0.2.1 > 198.51.100.1: [|tcp]",
		},
		{
			"cut in the ports", cut(ip4(protoTCP, syn()), 17),
			"192.0.2.1 > 198.51.100.1: [|tcp]",
			"IP 192.0.2.1 > 198.51.100.1: [|tcp]",
		},
		{
			"cut behind the ports", cut(ip4(protoTCP, syn()), 16),
			"192.0.2.1.1051 > 198.51.100.1.7: [|tcp]",
			"IP 192.0.2.1.1051 > 198.51.100.1.7:  [|tcp]",
		},
		{
			"cut before the end of TCP", cut(ip4(protoTCP, syn()), 1),
			"192.0.2.1.1051 > 198.51.100.1.7: [|tcp]",
			"IP 192.0.2.1.1051 > 198.51.100.1.7:  [|tcp]",
		},
		{
			"cut in IPv6", cut(ip6(protoTCP, syn()), 21),
			"[|ip6]",
			" [|ip6]",
		},
		{
			"cut behind IPv6", cut(ip6(protoTCP, syn()), 20),
			"0.0.0.0 > 0.0.0.0: [|tcp]",
			"IP6 2001:db8::1 > 2001:db8::2: [|tcp]",
		},
		{
			"cut in IPv4 options", cut(with(ip4(protoTCP, append(make([]byte, 8), syn()...)), 0, 0x47), 21),
			"192.0.2.1 > 198.51.100.1: [|tcp]",
			"IP  [remaining caplen(27) < header length(28)] [|ip]",
		},
		{
			"IPv4 options", packet(with(ip4(protoTCP, append(make([]byte, 8), syn()...)), 0, 0x47)),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"IHL 4", packet(with(ip4(protoTCP, syn()), 0, 0x44)),
			"bad-hlen 16",
			"IP bad-hlen 16",
		},
		{
			"version 5", packet(with(ip4(protoTCP, syn()), 0, 0x55)),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"IP5 (invalid)",
		},
		{
			"IPv6 as IPv4", under(etherIPv4, ip6(protoTCP, syn())),
			"bad-hlen 0",
			"IP6, wrong link-layer encapsulation (invalid)",
		},
		{
			"IPv4 as IPv6", under(etherIPv6, ip4(protoTCP, syn())),
			"truncated-ip6 - 99 bytes missing!4006:0:c000:201:c633:6401:41b:7 > 0:3e8:0:7d0:5002:200::: [|HBH] [class 0x50] [flowlabel 0x28] [hlim 0]",
			"IP6 version error: 4 != 6",
		},
		{
			"total length 0", packet(with(ip4(protoTCP, syn()), 2, 0, 0)),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:960(4294967256) win 512",
			"IP bad-len 0",
		},
		{
			"total length in TCP", packet(with(ip4(protoTCP, syn()), 2, 0, 30)),
			"192.0.2.1.1051 > 198.51.100.1.7: S [bad hdr length]",
			"IP 192.0.2.1.1051 > 198.51.100.1.7:  [|tcp]",
		},
		{
			"total length beyond the frame", packet(with(ip4(protoTCP, syn()), 2, 0, 140)),
			"truncated-ip - 100 bytes missing! 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1100(100) win 512",
			"IP truncated-ip - 100 bytes missing! 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000:1100, win 512, length 100",
		},
		{
			"payload length 0", packet(with(ip6(protoTCP, syn()), 4, 0, 0)),
			"2001:db8::1.1051 > 2001:db8::2.7: S [bad hdr length]",
			"IP6 2001:db8::1 > 2001:db8::2: [|tcp]",
		},
		{
			"payload length beyond the frame", packet(with(ip6(protoTCP, syn()), 4, 0, 140)),
			"truncated-ip6 - 120 bytes missing!2001:db8::1.1051 > 2001:db8::2.7: S 1000:1120(120) win 512",
			"IP6 truncated-ip6 - 120 bytes missing!2001:db8::1.1051 > 2001:db8::2.7: Flags [S], seq 1000:1120, win 512, length 120",
		},

		{
			"first fragment", packet(with(ip4(protoTCP, tcp(flagSYN, nil, 1, 2, 3, 4)), 6, 0x20)),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1004(4) win 512 (frag 99:24@0+)",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000:1004, win 512, length 4",
		},
		{
			"later fragment", packet(with(ip4(protoTCP, syn()), 6, 0x20, 10)),
			"192.0.2.1 > 198.51.100.1: tcp (frag 99:20@80+)",
			"IP 192.0.2.1 > 198.51.100.1: ip-proto-6",
		},
		{
			"last fragment with DF", packet(with(ip4(protoTCP, syn()), 6, 0x40, 10)),
			"192.0.2.1 > 198.51.100.1: tcp (frag 99:20@80)",
			"IP 192.0.2.1 > 198.51.100.1: ip-proto-6",
		},
		{
			"later fragment of something else", packet(with(ip4(99, syn()), 6, 0, 10)),
			"192.0.2.1 > 198.51.100.1: ip-proto-99 (frag 99:20@80)",
			"IP 192.0.2.1 > 198.51.100.1: ip-proto-99",
		},
		{
			"DF, tos and ttl", packet(with(with(ip4(protoTCP, syn()), 6, 0x40, 0, 1), 1, 0xb9)),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512 (DF) [tos 0xb9,ECT(1)]  [ttl 1]",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"evil bit", packet(with(ip4(protoTCP, syn()), 6, 0x80)),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"class, flow label and hop limit", packet(with(with(ip6(protoTCP, syn()), 0, 0x6b, 0x81, 0x23, 0x45), 7, 0)),
			"2001:db8::1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512 [class 0xb8] [flowlabel 0x12345] [hlim 0]",
			"IP6 2001:db8::1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},

		{
			"data offset 4", packet(ip4(protoTCP, with(syn(), 12, 0x40))),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1004(4) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7:  tcp 4 [bad hdr length 16 - too short, < 20]",
		},
		{
			"data offset beyond the segment", packet(ip4(protoTCP, with(syn(), 12, 0x60))),
			"192.0.2.1.1051 > 198.51.100.1.7: S [bad hdr length]",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S] [bad hdr length 24 - too long, > 20]",
		},
		{
			"capture cut before the payload", cut(ip4(protoTCP, with(tcp(flagSYN, make([]byte, 8), 1), 20, 0, 0)), 6),
			"192.0.2.1.1051 > 198.51.100.1.7: S 1000:1001(1) win 512 <eol>",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000:1001, win 512, options [eol], length 1 [remaining caplen(23) < header length(28)] [|tcp]",
		},

		{
			"compressed IPv6", packet(with(ip6(protoTCP, syn()), 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2)),
			"::0.1.0.2.1051 > 2001:db8::2.7: S 1000:1000(0) win 512",
			"IP6 ::0.1.0.2.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"IPv4-mapped", packet(with(ip6(protoTCP, syn()), 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1)),
			"::ffff:192.0.2.1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512",
			"IP6 ::ffff:192.0.2.1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"loopback", packet(with(ip6(protoTCP, syn()), 8, 0, 0, 0, 0)),
			"::1.1051 > 2001:db8::2.7: S 1000:1000(0) win 512",
			"IP6 ::1.1051 > 2001:db8::2.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"VLANs", &Packet{Data: ip4(protoTCP, syn()), EtherType: etherIPv4, VLANs: []uint16{0xa064, 0x1001}},
			"802.1Q vlan#100 P5 802.1Q vlan#1 P0 CFI 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
		{
			"link prefix", &Packet{Data: ip4(protoTCP, syn()), EtherType: etherIPv4, Prefix: [2]string{"IP 40: ", "l\xf6    In  "}},
			"IP 40: 192.0.2.1.1051 > 198.51.100.1.7: S 1000:1000(0) win 512",
			"l?    In  IP 192.0.2.1.1051 > 198.51.100.1.7: Flags [S], seq 1000, win 512, length 0",
		},
	}
}
