//go:build linux

package stack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
)

// inbound is the poller's memory for messages on their way to a client: the socket's bytes are
// received behind the headroom, and their headers are written right before them.
type inbound struct {
	message message
	control               // of the message last received
	now     time.Duration // when the poller began with the socket, on nat's clock
	buf     []byte
	run     run
	frame   [1][]byte
	ipID    uint16 // of the last IPv4 packet
}

// headroom holds the longest headers that we write.
const headroom = 40 + udpHeaderLen

// newInbound has room for a run and, behind it, the longest message that a socket can bring.
func newInbound() *inbound {
	return &inbound{buf: make([]byte, headroom+maxRun+1<<16), run: run{at: headroom, end: headroom}}
}

func ipHeaderLen(a netip.Addr) int {
	if a.Is6() {
		return 40
	}
	return 20
}

// putIP writes the header of a packet between two addresses of one family. An IPv4 packet may be
// fragmented on its way, for a client behind this host: that needs an identification (RFC 6864
// §4.1).
func (in *inbound) putIP(b []byte, src, dst netip.Addr, proto byte, as marks) {
	clear(b[:ipHeaderLen(dst)])
	if dst.Is6() {
		s, d := src.As16(), dst.As16()
		putIPv6(b, s[:], d[:], proto, len(b)-40)
		b[7] = as.hopLimit
		(&ipHeader{v6: true}).setTOS(b, as.tos)
		return
	}
	s, d := src.As4(), dst.As4()
	putIPv4(b, s[:], d[:], proto, len(b)-20)
	b[1], b[8] = as.tos, as.hopLimit
	in.ipID++
	binary.BigEndian.PutUint16(b[4:], in.ipID)
	b[6] = 0 // no DF
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], ^packet.Checksum(b[:20], 0))
}

// bufs returns a packet as a link takes it.
func (in *inbound) bufs(b []byte) [][]byte {
	in.frame[0] = b
	return in.frame[:]
}

// writeWhole writes a packet whose checksum is right, in fragments where it is IPv6 and longer than
// the client's path takes.
func (n *nat) writeWhole(in *inbound, b []byte, client netip.Addr) {
	if client.Is4() || len(b) <= minPathMTU6 {
		n.writeInbound(in.bufs(b)...)
		return
	}
	mtu := n.router.ClientMTU(client)
	if len(b) <= mtu {
		n.writeInbound(in.bufs(b)...)
		return
	}
	for _, fragment := range fragments6(b, mtu) {
		n.writeInbound(fragment)
	}
}

// control is what the kernel tells of what a socket has received.
type control struct {
	segment int    // length of datagrams that came as one (UDP_GRO); 0 = there is one
	marks   marks  // of whole, nothing is known
	lost    uint32 // what the socket had dropped before (SO_RXQ_OVFL)
}

// readControl reads the control messages of the message just received.
func (in *inbound) readControl() {
	in.control = control{marks: marks{hopLimit: replyTTL}}
	in.message.eachControl(func(level, typ int32, data []byte) {
		switch {
		case level == unix.SOL_UDP && typ == unix.UDP_GRO && len(data) >= 4:
			in.segment = int(binary.NativeEndian.Uint32(data))
		case level == unix.SOL_SOCKET && typ == unix.SO_RXQ_OVFL && len(data) >= 4:
			in.lost = binary.NativeEndian.Uint32(data)
		case (level == unix.IPPROTO_IP && typ == unix.IP_TTL || level == unix.IPPROTO_IPV6 && typ == unix.IPV6_HOPLIMIT) && len(data) >= 4:
			in.marks.hopLimit = uint8(binary.NativeEndian.Uint32(data))
		case level == unix.IPPROTO_IP && typ == unix.IP_TOS && len(data) >= 1:
			in.marks.tos = data[0]
		case level == unix.IPPROTO_IPV6 && typ == unix.IPV6_TCLASS && len(data) >= 4:
			in.marks.tos = uint8(binary.NativeEndian.Uint32(data))
		}
	})
}
