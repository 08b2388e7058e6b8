package nft

import (
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Multicast matches packets to groups: of IPv4 (RFC 1112 §4), of IPv6 (RFC 4291 §2.7).
var Multicast = []Statement{
	{"ip daddr 224.0.0.0/4", append(
		Destination4.isFamily(), Destination4.load(reg), masked([]byte{0xf0, 0, 0, 0}), equal([]byte{0xe0, 0, 0, 0}),
	)},
	{"ip6 daddr ff00::/8", append(Destination6.isFamily(), firstByte(Destination6), equal([]byte{0xff}))},
}

// firstByte loads the first byte of an address: nft(8) compares prefixes of whole bytes so.
func firstByte(f Field) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: 1}
}

// ends loads an address and two ports, at offsets of the transport header, into registers as an
// element has them of a set of the type address, port, port. It returns the first register.
func (f Field) ends(first, second uint32) ([]expr.Any, uint32) {
	r, words := uint32(unix.NFT_REG32_00), f.size/4
	load := append(f.isFamily(), meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_UDP}), f.load(r))
	for i, offset := range []uint32{first, second} {
		load = append(load, &expr.Payload{
			DestRegister: r + words + uint32(i), Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2,
		})
	}
	return load, r
}

// NoteAsker notes the source of a datagram in a set of the type address, port, port: its address,
// its port, and the port that it asks.
func NoteAsker(source Field, set string) Statement {
	load, r := source.ends(0, 2)
	return Statement{
		fmt.Sprintf("update @%s { %s . udp sport . udp dport }", set, source.text),
		append(load, &expr.Dynset{SrcRegKey: r, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE}),
	}
}

// ToAsker matches datagrams that answer one which NoteAsker has noted, from the port that was
// asked.
func ToAsker(destination Field, set string) Statement {
	load, r := destination.ends(2, 0)
	return Statement{
		fmt.Sprintf("%s . udp dport . udp sport @%s", destination.text, set),
		append(load, &expr.Lookup{SourceRegister: r, SetName: set}),
	}
}
