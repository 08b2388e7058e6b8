package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const reg = unix.NFT_REG_1

// Verdicts.
var (
	Accept = verdict("accept", expr.VerdictAccept, "")
	Drop   = verdict("drop", expr.VerdictDrop, "")
	Return = verdict("return", expr.VerdictReturn, "")
)

// Goto continues in another chain and does not return.
func Goto(chain string) Statement { return verdict("goto "+chain, expr.VerdictGoto, chain) }

// Jump continues in another chain, which may return.
func Jump(chain string) Statement { return verdict("jump "+chain, expr.VerdictJump, chain) }

func verdict(text string, kind expr.VerdictKind, chain string) Statement {
	return Statement{text, []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}}
}

// Counter counts packets and bytes.
func Counter() Statement { return Statement{"counter", []expr.Any{&expr.Counter{}}} }

// equal and differs compare the register.
func equal(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data} }

func differs(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: data} }

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: reg} }

func native(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

// masked keeps the bits of mask in the register.
func masked(mask []byte) expr.Any {
	return &expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))}
}

// in looks the register up in a set.
func in(set string, not bool) expr.Any {
	return &expr.Lookup{SourceRegister: reg, SetName: set, Invert: not}
}

func interfaceName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// From matches the interface that the packet has come in by.
func From(name string) Statement {
	return Statement{fmt.Sprintf("iifname %q", name), []expr.Any{meta(expr.MetaKeyIIFNAME), equal(interfaceName(name))}}
}

// To matches the interface that the packet leaves by.
func To(name string) Statement {
	return Statement{fmt.Sprintf("oifname %q", name), []expr.Any{meta(expr.MetaKeyOIFNAME), equal(interfaceName(name))}}
}

// metaOutKind is NFT_META_OIFKIND of linux/netfilter/nf_tables.h: the kind of link that the packet
// leaves by.
const metaOutKind = expr.MetaKey(27)

// ToBridge matches packets that leave by a bridge.
var ToBridge = Statement{`meta oifkind "bridge"`, []expr.Any{
	meta(metaOutKind), equal(interfaceName("bridge")),
}}

// FromNone matches packets without an incoming interface: this host's own and, in postrouting,
// frames that a bridge has forwarded by itself.
var FromNone = Statement{"meta iif 0", []expr.Any{meta(expr.MetaKeyIIF), equal(native(0))}}

// FromAny matches packets that have come in by an interface of a set of indexes.
func FromAny(set string) Statement {
	return Statement{"iif @" + set, []expr.Any{meta(expr.MetaKeyIIF), in(set, false)}}
}

// Mark matches the packet's mark.
func Mark(mark uint32) Statement {
	return Statement{fmt.Sprintf("meta mark %#x", mark), []expr.Any{meta(expr.MetaKeyMARK), equal(native(mark))}}
}

// NotMark matches every other mark.
func NotMark(mark uint32) Statement {
	return Statement{fmt.Sprintf("meta mark != %#x", mark), []expr.Any{meta(expr.MetaKeyMARK), differs(native(mark))}}
}

// MarkBits matches packets whose mark has the bits of value where mask has any.
func MarkBits(value, mask uint32) Statement {
	return Statement{
		fmt.Sprintf("meta mark & %#x == %#x", mask, value),
		[]expr.Any{meta(expr.MetaKeyMARK), masked(native(mask)), equal(native(value))},
	}
}

// SetMark sets the packet's mark.
func SetMark(mark uint32) Statement {
	return Statement{fmt.Sprintf("meta mark set %#x", mark), []expr.Any{
		&expr.Immediate{Register: reg, Data: native(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg},
	}}
}

// SocketMark matches packets of sockets that have a mark, whatever has become of the packet's.
func SocketMark(mark uint32) Statement {
	return Statement{fmt.Sprintf("socket mark %#x", mark), []expr.Any{
		&expr.Socket{Key: expr.SocketKeyMark, Register: reg}, equal(native(mark)),
	}}
}

// labelBits is how many labels a connection has (XT_CONNLABEL_MAXBIT + 1).
const labelBits = 128

func label(n int) []byte {
	b := make([]byte, labelBits/8)
	word := n / 32 * 4 // the kernel's bitmap consists of its own words
	copy(b[word:], binaryutil.NativeEndian.PutUint32(1<<(n%32)))
	return b
}

// Label matches packets of connections that have a label.
func Label(n int) Statement {
	return Statement{fmt.Sprintf("ct label %d", n), []expr.Any{
		&expr.Ct{Key: expr.CtKeyLABELS, Register: reg}, masked(label(n)), differs(make([]byte, labelBits/8)),
	}}
}

// SetLabel gives the packet's connection a label.
func SetLabel(n int) Statement {
	return Statement{fmt.Sprintf("ct label set %d", n), []expr.Any{
		&expr.Immediate{Register: reg, Data: label(n)},
		&expr.Ct{Key: expr.CtKeyLABELS, Register: reg, SourceRegister: true},
	}}
}

// Reply matches packets that go towards the one that began the connection.
var Reply = Statement{"ct direction reply", []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg}, equal([]byte{1})}}

// New matches packets that begin a connection.
var New = state("new", expr.CtStateBitNEW)

// Related matches packets that begin a connection which another has announced, such as FTP's, and
// ICMP errors.
var Related = state("related", expr.CtStateBitRELATED)

// NewOrRelated matches packets that begin a connection, announced or not.
var NewOrRelated = state("related,new", expr.CtStateBitNEW|expr.CtStateBitRELATED)

// Established matches packets of connections that both ends have opened, as far as connection
// tracking knows.
var Established = state("established", expr.CtStateBitESTABLISHED)

// NotEstablished matches packets that begin a connection and those that belong to none.
var NotEstablished = state("invalid,related,new", expr.CtStateBitNEW|expr.CtStateBitRELATED|expr.CtStateBitINVALID)

// Untracked matches packets that a rule has taken off connection tracking (notrack), and those of
// IPv6's neighbor discovery.
var Untracked = state("untracked", expr.CtStateBitUNTRACKED)

func state(text string, bits uint32) Statement {
	return Statement{"ct state " + text, []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg}, masked(native(bits)), differs(native(0)),
	}}
}

// Protocol matches the transport protocol.
func Protocol(number uint8) Statement {
	return Statement{fmt.Sprintf("meta l4proto %d", number), []expr.Any{meta(expr.MetaKeyL4PROTO), equal([]byte{number})}}
}

func transport(offset, size uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: size}
}

// SYN matches TCP segments that open a connection.
var SYN = Statement{"meta l4proto tcp tcp flags & (fin | syn | rst | ack) == syn", []expr.Any{
	meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}),
	transport(13, 1), masked([]byte{0x17}), equal([]byte{0x02}),
}}

// NotSYN matches all other TCP segments.
var NotSYN = Statement{"meta l4proto tcp tcp flags & (fin | syn | rst | ack) != syn", []expr.Any{
	meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}), transport(13, 1), masked([]byte{0x17}), differs([]byte{0x02}),
}}

// AnySYN matches TCP segments that open a connection or answer one that does.
var AnySYN = Statement{"meta l4proto tcp tcp flags & syn == syn", []expr.Any{
	meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}), transport(13, 1), masked([]byte{0x02}), equal([]byte{0x02}),
}}

// SYNACK matches TCP segments that answer one that opens a connection.
var SYNACK = Statement{"meta l4proto tcp tcp flags & (syn | ack) == (syn | ack)", []expr.Any{
	meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}), transport(13, 1), masked([]byte{0x12}), equal([]byte{0x12}),
}}

// Longer matches packets of more bytes than n, with their IP header.
func Longer(n uint32) Statement {
	return Statement{fmt.Sprintf("meta length > %d", n), []expr.Any{
		meta(expr.MetaKeyLEN), &expr.Byteorder{
			SourceRegister: reg, DestRegister: reg, Op: expr.ByteorderHton, Len: 4, Size: 4,
		},
		&expr.Cmp{Op: expr.CmpOpGt, Register: reg, Data: binary.BigEndian.AppendUint32(nil, n)},
	}}
}

// Empty matches TCP segments without a payload whose TCP header has some length in bytes, and whose
// IPv4 or IPv6 header has neither options nor extensions.
func Empty(v6 bool, header uint8) Statement {
	family, text, ip := byte(unix.NFPROTO_IPV4), "ipv4", uint32(20)
	if v6 {
		family, text, ip = unix.NFPROTO_IPV6, "ipv6", 40
	}
	n := ip + uint32(header)
	return Statement{
		fmt.Sprintf("meta length %d meta nfproto %s tcp doff %d", n, text, header/4),
		[]expr.Any{
			meta(expr.MetaKeyLEN), equal(native(n)), meta(expr.MetaKeyNFPROTO), equal([]byte{family}),
			meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}),
			transport(12, 1), masked([]byte{0xf0}), equal([]byte{header / 4 << 4}),
		},
	}
}

// Log has programs know of the packet that listen to a group (NFLOG): of its first snaplen bytes.
func Log(group uint16, snaplen uint32) Statement {
	return Statement{fmt.Sprintf("log group %d snaplen %d", group, snaplen), []expr.Any{&expr.Log{
		Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN, Group: group, Snaplen: snaplen,
	}}}
}

// ports matches a port of TCP or UDP at an offset of the header.
func ports(word string, offset uint32, not bool, first, last uint16) Statement {
	op, text := expr.CmpOpEq, fmt.Sprintf("%s %d", word, first)
	if not {
		op, text = expr.CmpOpNeq, fmt.Sprintf("%s != %d", word, first)
	}
	if last == first {
		return Statement{text, []expr.Any{
			transport(offset, 2),
			&expr.Cmp{Op: op, Register: reg, Data: binary.BigEndian.AppendUint16(nil, first)},
		}}
	}
	text += fmt.Sprintf("-%d", last)
	return Statement{text, []expr.Any{transport(offset, 2), &expr.Range{
		Op: op, Register: reg, FromData: binary.BigEndian.AppendUint16(nil, first), ToData: binary.BigEndian.AppendUint16(nil, last),
	}}}
}

// SourcePortOutside matches segments and datagrams whose source port is not in a range.
func SourcePortOutside(first, last uint16) Statement { return ports("th sport", 0, true, first, last) }

// SourcePort matches segments and datagrams from a port.
func SourcePort(port uint16) Statement { return ports("th sport", 0, false, port, port) }

// DestinationPort matches segments and datagrams to a port.
func DestinationPort(port uint16) Statement { return ports("th dport", 2, false, port, port) }

// Field is an address in the IP header.
type Field struct {
	text         string
	family       byte
	offset, size uint32
}

// The addresses of IPv4 (RFC 791 §3.1) and IPv6 (RFC 8200 §3).
var (
	Source4      = Field{"ip saddr", unix.NFPROTO_IPV4, 12, 4}
	Destination4 = Field{"ip daddr", unix.NFPROTO_IPV4, 16, 4}
	Source6      = Field{"ip6 saddr", unix.NFPROTO_IPV6, 8, 16}
	Destination6 = Field{"ip6 daddr", unix.NFPROTO_IPV6, 24, 16}
)

func (f Field) load(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.size}
}

func (f Field) isFamily() []expr.Any {
	return []expr.Any{meta(expr.MetaKeyNFPROTO), equal([]byte{f.family})}
}

// In matches packets that have the address in a set.
func (f Field) In(set string) Statement {
	return Statement{fmt.Sprintf("%s @%s", f.text, set), append(f.isFamily(), f.load(reg), in(set, false))}
}

// Keep translates the destination to itself: no chain behind it at its hook translates it then.
func (f Field) Keep() Statement {
	family, _, _ := strings.Cut(f.text, " ")
	keep := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.family), RegAddrMin: reg}
	return Statement{
		fmt.Sprintf("dnat %s to %s", family, f.text), append(f.isFamily(), f.load(reg), keep),
	}
}

// Is matches packets that have the address, of the field's family.
func (f Field) Is(a netip.Addr) Statement {
	return Statement{fmt.Sprintf("%s %s", f.text, a), append(f.isFamily(), f.load(reg), equal(a.AsSlice()))}
}

// Flip inverts bits of the address and leaves the checksums as they are: a second Flip has to
// follow.
func (f Field) Flip(bits netip.Addr) Statement {
	flip := &expr.Bitwise{
		SourceRegister: reg, DestRegister: reg, Len: f.size,
		Mask: bytes.Repeat([]byte{0xff}, int(f.size)), Xor: bits.AsSlice(),
	}
	write := &expr.Payload{
		OperationType: expr.PayloadWrite, SourceRegister: reg,
		Base: expr.PayloadBaseNetworkHeader, Offset: f.offset, Len: f.size,
	}
	return Statement{
		fmt.Sprintf("%s set %s ^ %s", f.text, f.text, bits),
		append(f.isFamily(), f.load(reg), flip, write),
	}
}

// FlowIn matches TCP segments whose addresses and ports are in a set of the type address, port,
// address, port.
func FlowIn(source, destination Field, set string) Statement {
	words := source.size / 4 // of four bytes; each field of a key begins with one
	r := uint32(unix.NFT_REG32_00)
	port := func(register, offset uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2}
	}
	exprs := append(source.isFamily(), meta(expr.MetaKeyL4PROTO), equal([]byte{unix.IPPROTO_TCP}))
	exprs = append(exprs, source.load(r), port(r+words, 0), destination.load(r+words+1), port(r+2*words+1, 2),
		&expr.Lookup{SourceRegister: r, SetName: set})
	return Statement{fmt.Sprintf("%s . tcp sport . %s . tcp dport @%s", source.text, destination.text, set), exprs}
}

// NotUnicast matches packets whose destination the host does not send to one machine elsewhere: its
// own addresses, broadcasts and the like.
var NotUnicast = Statement{"fib daddr type != unicast", []expr.Any{
	&expr.Fib{Register: reg, ResultADDRTYPE: true, FlagDADDR: true}, differs(native(unix.RTN_UNICAST)),
}}

// Local matches packets to the host's own addresses, which may have been led there since their
// route was chosen.
var Local = Statement{"fib daddr type local", []expr.Any{
	&expr.Fib{Register: reg, ResultADDRTYPE: true, FlagDADDR: true}, equal(native(unix.RTN_LOCAL)),
}}

// Broadcast matches packets to the broadcast addresses of the host's IPv4 networks.
var Broadcast = Statement{"fib daddr type broadcast", []expr.Any{
	&expr.Fib{Register: reg, ResultADDRTYPE: true, FlagDADDR: true}, equal(native(unix.RTN_BROADCAST)),
}}

// RouteOutside matches packets that the host would not send by an interface of a set of indexes.
func RouteOutside(set string) Statement {
	return Statement{"fib daddr oif != @" + set, []expr.Any{
		&expr.Fib{Register: reg, ResultOIF: true, FlagDADDR: true}, in(set, true),
	}}
}

// AnyUID matches packets that belong to a socket of a process: those that it sends and, before the
// routing decision, those that a transparent proxy receives (TPROXY). The kernel's own sockets do
// not count.
var AnyUID = Statement{"meta skuid >= 0", []expr.Any{
	meta(expr.MetaKeySKUID), &expr.Cmp{Op: expr.CmpOpGte, Register: reg, Data: native(0)},
}}

// OfUID matches packets of sockets of one user.
func OfUID(uid uint32) Statement {
	return Statement{fmt.Sprintf("meta skuid %d", uid), []expr.Any{meta(expr.MetaKeySKUID), equal(native(uid))}}
}

// UIDIn matches packets of sockets of the users in a set of ranges.
func UIDIn(set string) Statement {
	return Statement{"meta skuid @" + set, []expr.Any{
		meta(expr.MetaKeySKUID),
		&expr.Byteorder{SourceRegister: reg, DestRegister: reg, Op: expr.ByteorderHton, Len: 4, Size: 4},
		in(set, false),
	}}
}

// CountUID counts the packet in a set of the type user, interface name.
func CountUID(set string) Statement {
	return Statement{fmt.Sprintf("update @%s { meta skuid . oifname }", set), []expr.Any{
		&expr.Meta{Key: expr.MetaKeySKUID, Register: unix.NFT_REG32_00},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: unix.NFT_REG32_01},
		&expr.Dynset{SrcRegKey: unix.NFT_REG32_00, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE},
	}}
}

// CountForwarded counts the packet in a set of the type interface name, interface name: where it
// came in, where it leaves.
func CountForwarded(set string) Statement {
	return Statement{fmt.Sprintf("update @%s { iifname . oifname }", set), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: unix.NFT_REG32_00},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: unix.NFT_REG32_04},
		&expr.Dynset{SrcRegKey: unix.NFT_REG32_00, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE},
	}}
}
