//go:build linux

package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"syntap/tun"
)

// Owner is the user of an endpoint (SetOwner). It sees each segment that netstack sends for it.
type Owner interface {
	// Withholds reports whether a segment must not be written now. frame is the packet as passed to
	// the link; it must not be kept. Netstack holds the endpoint's lock.
	Withholds(s Segment, off tun.Offload, frame [][]byte) bool
}

// Segment describes a TCP segment.
type Segment struct {
	Seq, Ack uint32
	Flags    uint8 // of TCP
	Size     int   // payload bytes
}

// owner is an Owner as netstack takes it (tcpip.PacketOwner).
type owner struct{ Owner }

// KUID and KGID are for iptables rules, which the router has none of.
func (owner) KUID() uint32 { return 0 }
func (owner) KGID() uint32 { return 0 }

// SetOwner makes o see all segments of an endpoint from now on.
func SetOwner(ep tcpip.Endpoint, o Owner) {
	e, ok := ep.(*tcp.Endpoint)
	if !ok {
		return
	}
	e.LockUser() // netstack reads the owner with it held
	e.SetOwner(owner{o})
	e.UnlockUser()
}

func segmentOf(pkt *gstack.PacketBuffer) Segment {
	t := header.TCP(pkt.TransportHeader().Slice())
	return Segment{Seq: t.SequenceNumber(), Ack: t.AckNumber(), Flags: uint8(t.Flags()), Size: pkt.Data().Size()}
}
