//go:build linux

package netstack

import (
	"errors"
	"os"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/tun"
)

// linkEndpoint lets netstack write to a tun.Link with the kernel's offloads: GSO packets leave
// netstack whole (host GSO), and the caller of Deliver has verified checksums.
type linkEndpoint struct {
	link       tun.Link
	rewrite    func(headers []byte)
	refused    func()
	dispatcher gstack.NetworkDispatcher
}

var (
	_ gstack.LinkEndpoint = (*linkEndpoint)(nil)
	_ gstack.GSOEndpoint  = (*linkEndpoint)(nil) // netstack asks for it by type assertion
)

// gsoMaxSize leaves netstack's own limit of one segment's payload, 65374 bytes.
const gsoMaxSize = 65535

func (e *linkEndpoint) GSOMaxSize() uint32                { return gsoMaxSize }
func (e *linkEndpoint) SupportedGSO() gstack.SupportedGSO { return gstack.HostGSOSupported }
func (e *linkEndpoint) Capabilities() gstack.LinkEndpointCapabilities {
	return gstack.CapabilityRXChecksumOffload
}

func (e *linkEndpoint) MTU() uint32                             { return uint32(e.link.MTU()) }
func (e *linkEndpoint) SetMTU(uint32)                           {}
func (e *linkEndpoint) MaxHeaderLength() uint16                 { return 0 }
func (e *linkEndpoint) LinkAddress() tcpip.LinkAddress          { return "" }
func (e *linkEndpoint) SetLinkAddress(tcpip.LinkAddress)        {}
func (e *linkEndpoint) Attach(d gstack.NetworkDispatcher)       { e.dispatcher = d }
func (e *linkEndpoint) IsAttached() bool                        { return e.dispatcher != nil }
func (e *linkEndpoint) Wait()                                   {}
func (e *linkEndpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (e *linkEndpoint) AddHeader(*gstack.PacketBuffer)          {}
func (e *linkEndpoint) ParseHeader(*gstack.PacketBuffer) bool   { return true }
func (e *linkEndpoint) Close()                                  {}
func (e *linkEndpoint) SetOnCloseAction(func())                 {}

// bufsPool holds the slice headers of frames on their way out.
var bufsPool = sync.Pool{New: func() any { return new([][]byte) }}

// WritePackets implements gstack.LinkWriter. It does not wait: the TUN takes a frame at once.
func (e *linkEndpoint) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	bufs := bufsPool.Get().(*[][]byte)
	defer bufsPool.Put(bufs)
	written := 0
	for _, pkt := range pkts.AsSlice() {
		*bufs = appendViews((*bufs)[:0], pkt)
		if pkt.GSOOptions.Type == gstack.GSONone && e.rewrite != nil { // a SYN-ACK, or a RST without an endpoint
			e.rewrite((*bufs)[0])
		}
		off := offloadOf(pkt)
		var err error
		if o, ok := pkt.Owner.(owner); !ok || !o.Withholds(segmentOf(pkt), off, *bufs) {
			err = e.link.WriteFrame(off, *bufs)
		}
		clear(*bufs)
		if errors.Is(err, os.ErrClosed) {
			return written, &tcpip.ErrClosedForSend{}
		}
		if err != nil {
			e.refused()
		}
		written++ // a frame that the link refused is lost as on any wire, and retransmitted
	}
	return written, nil
}

// appendViews appends the packet's memory. The first view holds all headers: netstack builds them
// in one piece.
func appendViews(bufs [][]byte, pkt *gstack.PacketBuffer) [][]byte {
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		b := v.AsSlice()
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		bufs = append(bufs, b[skip:])
		skip = 0
	}
	return bufs
}

// offloadOf describes the work that netstack leaves to the kernel. A segment that fits its MSS is
// no GSO packet, and pure ACKs come with an MSS of zero.
func offloadOf(pkt *gstack.PacketBuffer) tun.Offload {
	gso := &pkt.GSOOptions
	if gso.Type == gstack.GSONone || !gso.NeedsCsum {
		return tun.Offload{}
	}
	off := tun.Offload{Flags: tun.NeedsCsum, CsumStart: gso.L3HdrLen, CsumOffset: gso.CsumOffset}
	if payload := pkt.Data().Size(); gso.MSS != 0 && payload > int(gso.MSS) {
		off.GSO = tun.GSOTCPv4
		if gso.Type == gstack.GSOTCPv6 {
			off.GSO = tun.GSOTCPv6
		}
		off.GSOSize = gso.MSS
		off.HdrLen = uint16(pkt.HeaderSize())
	}
	return off
}

// NewView returns memory for a part of a packet, all of it in use.
func NewView(size int) *buffer.View {
	v := buffer.NewView(size)
	v.Grow(size)
	return v
}

// CopyView returns memory for a part of a packet, which has a copy of b.
func CopyView(b []byte) *buffer.View { return buffer.NewViewWithData(b) }

// Deliver hands a packet to netstack, which then owns its views. head holds at least the IP header;
// payload may be nil. It may be called from any goroutine. The caller has verified the checksums.
//
// Headers have a view of their own because netstack copies a whole view when it reads headers from
// one that is shared, and it always shares.
func (s *Stack) Deliver(head, payload *buffer.View) {
	b := buffer.MakeWithView(head)
	if payload != nil {
		_ = b.Append(payload)
	}
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: b})
	defer pkt.DecRef()
	proto := header.IPv4ProtocolNumber
	if b, ok := pkt.Data().PullUp(1); ok && b[0]>>4 == 6 {
		proto = header.IPv6ProtocolNumber
	}
	s.endpoint.dispatcher.DeliverNetworkPacket(proto, pkt)
}

// DeliverCopy delivers a copy of a packet.
func (s *Stack) DeliverCopy(packet []byte) { s.Deliver(CopyView(packet), nil) }
