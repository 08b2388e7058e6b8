package tcpdump

import (
	"strings"
	"testing"
)

// TestAppendOptions compares the lines from the window on.
func TestAppendOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range append(optionTests(), mptcpTests()...) {
		for d, want := range [...]string{Classic: tt.classic, Modern: tt.modern} {
			line := string(Append(nil, Dialect(d), tt.p))
			if _, got, _ := strings.Cut(line, " win 512"); got != want {
				t.Errorf("%s: Append(%v, % x)\n got %q\nwant %q", tt.name, Dialect(d), tt.p.Data, got, want)
			}
		}
	}
}

func optionTests() []lineTest {
	opt := func(bytes ...byte) *Packet { return packet(ip4(protoTCP, syn(bytes...))) }
	cutOpt := func(n int, bytes ...byte) *Packet { return cut(ip4(protoTCP, syn(bytes...)), n) }
	return []lineTest{
		{
			"EOL ends the list", opt(2, 4, 5, 0xb4, 0, 2, 4, 5),
			" <mss 1460,eol>", ", options [mss 1460,eol], length 0",
		},
		{
			"echo", opt(6, 6, 0, 0, 1, 0, 7, 6, 0, 0, 2, 0),
			" <echo 256,echoreply 512>", ", options [echo 256,echoreply 512], length 0",
		},
		{
			"connection count", opt(11, 6, 0, 0, 0, 11, 12, 6, 0, 0, 0, 12, 13, 6, 0, 0, 0, 13, 1, 1),
			" <cc 11,ccnew 12,ccecho 13,nop,nop>", ", options [cc 11,ccnew 12, 13,nop,nop], length 0",
		},
		{
			"SACK", opt(1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 3),
			" <nop,nop,sack sack 2 {1:2}{4294967295:3} >", ", options [nop,nop,sack 2 {1:2}{4294967295:3}], length 0",
		},
		{
			"SACK without a block", opt(5, 2, 1, 1),
			" <sack sack 0  ,nop,nop>", ", options [sack 0 ,nop,nop], length 0",
		},
		{
			"SACK of half a block", opt(5, 6, 0, 0, 0, 1, 1, 1),
			" <sack malformed sack ,nop,nop>", ", options [sack invalid sack,nop,nop], length 0",
		},
		{
			"SACK cut in a block", cutOpt(2, 1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2),
			" <nop,nop,sack sack 1 [|tcp]>", ", options [nop,nop,sack 1  [|tcp]>",
		},
		{
			"MD5", opt(1, 1, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
			" <nop,nop,opt-19:000102030405060708090a0b0c0d0e0f>",
			", options [nop,nop,md5 shared secret not supplied with -M, can't check - 000102030405060708090a0b0c0d0e0f], length 0",
		},
		{
			"MD5 with payload cut", cut(ip4(protoTCP, tcp(flagSYN, []byte{
				1, 1, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
			}, 1)), 1),
			" <nop,nop,opt-19:000102030405060708090a0b0c0d0e0f>",
			", options [nop,nop,md5 snaplen too short, can't check - 000102030405060708090a0b0c0d0e0f], length 1",
		},
		{
			"SCPS", opt(20, 4, 0x0a, 20),
			" <opt-20:0a14>", ", options [scps cap 0a id 20], length 0",
		},
		{
			"user timeout", opt(28, 4, 0, 10, 28, 4, 0x80, 11),
			" <opt-28:000a,opt-28:800b>", ", options [uto 0xa 5,uto 0x800b 983340], length 0",
		},
		{
			"TCP-AO", opt(29, 8, 7, 8, 1, 2, 3, 4, 29, 4, 7, 8),
			" <opt-29:070801020304,opt-29:0708>",
			", options [tcp-ao keyid 7 rnextkeyid 8 mac 0x01020304,tcp-ao keyid 7 rnextkeyid 8], length 0",
		},
		{
			"TCP-AO too short", opt(29, 3, 7, 1),
			" <opt-29:07,nop>", ", options [tcp-ao (invalid),nop], length 0",
		},
		{
			"TCP-AO cut", cutOpt(3, 29, 8, 7, 8, 1, 2, 3, 4),
			" <opt-29:070801[|tcp]>", ", options [tcp-ao keyid 7 rnextkeyid 8 mac 0x01 [|tcp]",
		},
		{
			"TCP-AO cut in its first bytes", cutOpt(1, 1, 29, 4, 7, 29, 4, 7, 8),
			" <nop,opt-29:071d,[bad opt]>", ", options [nop,tcp-ao keyid 7 rnextkeyid 29,[bad opt]]",
		},
		{
			"fast open", opt(34, 2, 34, 6, 1, 2, 3, 4, 34, 4, 1, 2),
			" <opt-34:,opt-34:01020304,opt-34:0102>",
			", options [tfo  cookiereq,tfo  cookie 01020304,tfo  (invalid)], length 0",
		},
		{
			"experiments", opt(254, 4, 0xf9, 0x89, 254, 8, 0xf9, 0x89, 1, 2, 3, 4, 254, 5, 0x0a, 0x0b, 9, 1, 1, 1),
			" <opt-254:f989,opt-254:f98901020304,opt-254:0a0b09,nop,nop,nop>",
			", options [exp-tfo cookiereq,exp-tfo cookie 01020304,exp-0a0b,nop,nop,nop], length 0",
		},
		{
			"experiment too short", opt(254, 3, 1, 1),
			" <opt-254:01,nop>", ", options [exp[bad opt]",
		},
		{
			"unknown", opt(253, 4, 1, 2, 69, 2, 1, 1),
			" <opt-253:0102,opt-69:,nop,nop>", ", options [unknown-253 0x0102,unknown-69,nop,nop], length 0",
		},
		{
			"unknown, cut", cutOpt(4, 99, 8, 1, 2, 3, 4, 5, 6),
			" <opt-99:0102[|tcp]>", ", options [unknown-99 0x0102 [|tcp]",
		},

		{
			"length 0, first", opt(2, 0, 1, 1),
			" <[bad opt]>", ", options [[bad opt]",
		},
		{
			"length 1, second", opt(1, 2, 1, 1),
			" <nop,[bad opt]>", ", options [nop,[bad opt]]",
		},
		{
			"length beyond the header", opt(1, 8, 10, 0),
			" <nop,[bad opt]>", ", options [nop,[bad opt]]",
		},
		{
			"header too short for the value, first", opt(2, 3, 1, 3),
			" <mss 259[len 3]>", ", options [mss 259[len 3]], length 0",
		},
		{
			"header too short for the value", opt(1, 1, 8, 2),
			" <nop,nop,timestamp[bad opt]>", ", options [nop,nop,TS[bad opt]]",
		},
		{
			"header ends in the value", opt(8, 6, 0, 0, 0, 1, 1, 1),
			" <timestamp 1[bad opt]>", ", options [TS[bad opt]",
		},
		{
			"wrong length, readable", opt(2, 2, 1, 1),
			" <mss 257[len 2]>", ", options [mss 257[len 2]], length 0",
		},
		{
			"wrong length of SACK permitted", opt(4, 3, 1, 1),
			" <sackOK[len 3],nop,nop>", ", options [sackOK[len 3],nop,nop], length 0",
		},
		{
			"kind in the last byte", opt(1, 1, 1, 2),
			" <nop,nop,nop,[|tcp]>", ", options [nop,nop,nop, [|tcp]",
		},
		{
			"kind in the last byte, payload", packet(ip4(protoTCP, tcp(flagSYN, []byte{1, 1, 1, 2}, 4))),
			" <nop,nop,nop,[bad opt]>", ", options [nop,nop,nop,[bad opt]]",
		},
		{
			"kind in the last byte, padding", packet(append(ip4(protoTCP, syn(1, 1, 1, 2)), 4)),
			" <nop,nop,nop,[bad opt]>", ", options [nop,nop,nop, [|tcp]",
		},
		{
			"cut before an option", cutOpt(4, 2, 4, 5, 0xb4, 1, 1, 1, 1),
			" <mss 1460,[|tcp]>", ", options [mss 1460, [|tcp]",
		},
		{
			"cut before a length", cutOpt(1, 1, 1, 1, 2),
			" <nop,nop,nop,[|tcp]>", ", options [nop,nop,nop, [|tcp]",
		},
		{
			"cut in a value, first", cutOpt(1, 2, 4, 5, 0xb4),
			" <mss[|tcp]>", ", options [mss [|tcp]",
		},
		{
			"cut in a timestamp", cutOpt(2, 1, 1, 8, 10, 0, 0, 0, 100, 0, 0, 0, 0),
			" <nop,nop,timestamp 100[|tcp]>", ", options [nop,nop,TS [|tcp]>",
		},
		{
			"MD5 cut", cutOpt(2, 1, 1, 19, 18, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
			" <nop,nop,opt-19:000102030405060708090a0b0c0d[|tcp]>", ", options [nop,nop,md5 [|tcp]>",
		},
		{
			"SCPS cut", cutOpt(2, 20, 4, 0x0a, 20),
			" <opt-20:[|tcp]>", ", options [scps [|tcp]",
		},
		{
			"user timeout cut", cutOpt(2, 28, 4, 0, 10),
			" <opt-28:[|tcp]>", ", options [uto [|tcp]",
		},
		{
			"TCP-AO cut before its keys", cutOpt(2, 29, 4, 7, 8),
			" <opt-29:[|tcp]>", ", options [tcp-ao [|tcp]",
		},
		{
			"MPTCP cut", cutOpt(2, 1, 1, 1, 1, 30, 4, 0, 0),
			" <nop,nop,nop,nop,opt-30:[|tcp]>", ", options [nop,nop,nop,nop,mptcp [|tcp]>",
		},
		{
			"fast open cut", cutOpt(2, 1, 1, 34, 6, 1, 2, 3, 4),
			" <nop,nop,opt-34:0102[|tcp]>", ", options [nop,nop,tfo [|tcp]>",
		},
		{
			"experiment cut", cutOpt(2, 254, 4, 1, 2),
			" <opt-254:[|tcp]>", ", options [exp [|tcp]",
		},
		{
			"cut behind MPTCP", cutOpt(4, 30, 3, 0xf0, 1, 2, 4, 5, 0xb4),
			" <opt-30:f0,nop,[|tcp]>", ", options [mptcp 3 unknown,nop, [|mptcp]",
		},
	}
}

func mptcpTests() []lineTest {
	opt := func(segment func(...byte) []byte, bytes ...byte) *Packet {
		for len(bytes)%4 != 0 {
			bytes = append(bytes, kindNOP)
		}
		return packet(ip4(protoTCP, segment(bytes...)))
	}
	return []lineTest{
		{
			"capable", opt(syn, 30, 4, 0x01, 0x81),
			" <opt-30:0181>", ", options [mptcp 4 capable v1 csum], length 0",
		},
		{
			"capable, key", opt(synACK, 30, 12, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 7, 8),
			" <opt-30:00010102030405060708>", ", options [mptcp 12 capable v0 {0x102030405060708}], length 0",
		},
		{
			"capable, both keys", opt(ack, 30, 20, 0x01, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9),
			" <opt-30:010101020304050607080000000000000009>",
			", options [mptcp 20 capable v1 {0x102030405060708,0x9}], length 0",
		},
		{
			"capable, data length", opt(ack, 30, 22, 0x01, 0x01, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 5),
			" <opt-30:0101010203040506070800000000000000090005,nop,nop>",
			", options [mptcp 22 capable v1 {0x102030405060708,0x9},nop,nop], length 0",
		},
		{
			"capable, unknown version", opt(syn, 30, 4, 0x02, 0x81),
			" <opt-30:0281>", ", options [mptcp 4 capable Unknown Version (2)], length 0",
		},
		{
			"capable on the wrong segment", opt(ack, 30, 4, 0x01, 0x81),
			" <opt-30:0181>", ", options [mptcp 4 capable[bad opt]",
		},
		{
			"capable, both keys on the wrong segment", opt(synACK, 30, 20, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9),
			" <opt-30:010101020304050607080000000000000009>", ", options [mptcp 20 capable[bad opt]",
		},
		{
			"capable of no known length", opt(syn, 30, 5, 1, 1, 1),
			" <opt-30:010101,nop,nop,nop>", ", options [mptcp 5 capable[bad opt]",
		},
		{
			"join", opt(syn, 30, 12, 0x11, 3, 0, 0, 1, 2, 0, 0, 3, 4),
			" <opt-30:11030000010200000304>", ", options [mptcp 12 join backup id 3 token 0x102 nonce 0x304], length 0",
		},
		{
			"join, SYN-ACK", opt(synACK, 30, 16, 0x10, 4, 0, 2, 3, 4, 5, 6, 7, 8, 0, 0, 3, 4),
			" <opt-30:1004000203040506070800000304>",
			", options [mptcp 16 join id 4 hmac 0x2030405060708 nonce 0x304], length 0",
		},
		{
			"join, ACK", opt(ack, 30, 24, 0x10, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19),
			" <opt-30:1000000102030405060708090a0b0c0d0e0f10111213>",
			", options [mptcp 24 join hmac 0x000102030405060708090a0b0c0d0e0f10111213], length 0",
		},
		{
			"join on the wrong segment", opt(ack, 30, 12, 0x10, 3, 0, 0, 1, 2, 0, 0, 3, 4),
			" <opt-30:10030000010200000304>", ", options [mptcp 12 join[bad opt]",
		},
		{
			"DSS", opt(ack, 30, 20, 0x20, 0x15, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 4, 0xab, 0xcd, 1, 1),
			" <opt-30:20150000000100000002000000030004abcd,nop,nop,nop,nop>",
			", options [mptcp 20 dss fin ack 1 seq 2 subseq 3 len 4 csum 0xabcd,nop,nop,nop,nop], length 0",
		},
		{
			"DSS, long numbers", opt(ack, 30, 26, 0x20, 0x0f,
				255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 4),
			" <opt-30:200fffffffffffffffff0000000100000002000000030004,nop,nop>",
			", options [mptcp 26 dss ack 18446744073709551615 seq 4294967298 subseq 3 len 4,nop,nop], length 0",
		},
		{
			"DSS without numbers", opt(ack, 30, 4, 0x20, 0),
			" <opt-30:2000>", ", options [mptcp 4 dss], length 0",
		},
		{
			"DSS with an ACK too short", opt(ack, 30, 8, 0x20, 0x03, 0, 0, 0, 1),
			" <opt-30:200300000001>", ", options [mptcp 8 dss ack [bad opt]",
		},
		{
			"DSS with a number too short", opt(ack, 30, 6, 0x20, 0x04, 0, 0),
			" <opt-30:20040000,nop,nop>", ", options [mptcp 6 dss seq [bad opt]",
		},
		{
			"DSS without a subflow number", opt(ack, 30, 8, 0x20, 0x04, 0, 0, 0, 1),
			" <opt-30:200400000001>", ", options [mptcp 8 dss seq 1[bad opt]",
		},
		{
			"DSS without a length", opt(ack, 30, 12, 0x20, 0x04, 0, 0, 0, 1, 0, 0, 0, 2),
			" <opt-30:20040000000100000002>", ", options [mptcp 12 dss seq 1 subseq 2[bad opt]",
		},
		{
			"DSS with bytes behind it", opt(ack, 30, 8, 0x20, 0, 0, 0, 0, 1),
			" <opt-30:200000000001>", ", options [mptcp 8 dss[bad opt]",
		},
		{
			"DSS without flags", opt(ack, 30, 3, 0x20),
			" <opt-30:20,nop>", ", options [mptcp 3 dss[bad opt]",
		},
		{
			"DSS on a SYN", opt(syn, 30, 4, 0x20, 0),
			" <opt-30:2000>", ", options [mptcp 4 dss[bad opt]",
		},
		{
			"add address", opt(ack, 30, 8, 0x34, 5, 192, 0, 2, 9),
			" <opt-30:3405c0000209>", ", options [mptcp 8 add-addr v0-ip4 id 5 192.0.2.9], length 0",
		},
		{
			"add address, port", opt(ack, 30, 10, 0x31, 5, 192, 0, 2, 9, 0, 80),
			" <opt-30:3105c00002090050,nop,nop>",
			", options [mptcp 10 add-addr v1-echo id 5 192.0.2.9:80,nop,nop], length 0",
		},
		{
			"add address, MAC", opt(ack, 30, 16, 0x30, 5, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 1, 2),
			" <opt-30:3005c00002090000000000000102>",
			", options [mptcp 16 add-addr v1 id 5 192.0.2.9 hmac 0x102], length 0",
		},
		{
			"add address, port, MAC", opt(ack, 30, 18, 0x3f, 5, 192, 0, 2, 9, 0, 80, 0, 0, 0, 0, 0, 0, 1, 2),
			" <opt-30:3f05c000020900500000000000000102,nop,nop>",
			", options [mptcp 18 add-addr [bad version/echo] id 5 192.0.2.9:80 hmac 0x102,nop,nop], length 0",
		},
		{
			"add IPv6 address", opt(ack, 30, 20, 0x36, 5, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
			" <opt-30:360520010db8000000000000000000000009>",
			", options [mptcp 20 add-addr v0-ip6 id 5 2001:db8::9], length 0",
		},
		{
			"add IPv6 address, port, MAC", opt(ack, 30, 30, 0x30, 5, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
				0, 80, 1, 2, 3, 4, 5, 6, 7, 8),
			" <opt-30:300520010db800000000000000000000000900500102030405060708,nop,nop>",
			", options [mptcp 30 add-addr v1 id 5 2001:db8::9:80 hmac 0x102030405060708,nop,nop], length 0",
		},
		{
			"add address of no known length", opt(ack, 30, 9, 0x30, 5, 192, 0, 2, 9, 0),
			" <opt-30:3005c000020900,nop,nop,nop>", ", options [mptcp 9 add-addr[bad opt]",
		},
		{
			"remove addresses", opt(ack, 30, 5, 0x40, 1, 2),
			" <opt-30:400102,nop,nop,nop>", ", options [mptcp 5 rem-addr id 1 2,nop,nop,nop], length 0",
		},
		{
			"remove no address", opt(ack, 30, 3, 0x40),
			" <opt-30:40,nop>", ", options [mptcp 3 rem-addr[bad opt]",
		},
		{
			"priority", opt(ack, 30, 3, 0x51, 30, 4, 0x50, 7),
			" <opt-30:51,opt-30:5007,nop>", ", options [mptcp 3 prio backup,mptcp 4 prio non-backup id 7,nop], length 0",
		},
		{
			"priority, too long", opt(ack, 30, 5, 0x51, 7, 8),
			" <opt-30:510708,nop,nop,nop>", ", options [mptcp 5 prio[bad opt]",
		},
		{
			"fail", opt(ack, 30, 12, 0x60, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			" <opt-30:60000000000000000100>", ", options [mptcp 12 fail seq 256], length 0",
		},
		{
			"fast close", opt(ack, 30, 12, 0x70, 0, 0, 0, 0, 0, 0, 0, 1, 0),
			" <opt-30:70000000000000000100>", ", options [mptcp 12 fast-close key 0x100], length 0",
		},
		{
			"fail, too short", opt(ack, 30, 4, 0x60, 0),
			" <opt-30:6000>", ", options [mptcp 4 fail[bad opt]",
		},
		{
			"fast close, too short", opt(ack, 30, 4, 0x70, 0),
			" <opt-30:7000>", ", options [mptcp 4 fast-close[bad opt]",
		},
		{
			"unknown subtype", opt(ack, 30, 3, 0x80, 30, 4, 0xf0, 0),
			" <opt-30:80,opt-30:f000,nop>", ", options [mptcp 3 unknown,mptcp 4 unknown,nop], length 0",
		},
		{
			"no subtype", opt(ack, 1, 30, 2),
			" <nop,opt-30:,nop>", ", options [nop,mptcp[bad opt]]",
		},
	}
}
