//go:build linux

package stack

import (
	"errors"
	"os"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"syntap/tun"
)

// linkEndpoint lets netstack write to a tun.Link and promises it the kernel's offloads:
// super-segments leave netstack uncut (host GSO), and what it receives has been verified
// (frame.checksumRight). Frames are read by Stack.readLoop.
type linkEndpoint struct {
	link       tun.Link
	stats      *Stats
	paths      *clientPaths
	dispatcher gstack.NetworkDispatcher
}

var (
	_ gstack.LinkEndpoint = (*linkEndpoint)(nil)
	_ gstack.GSOEndpoint  = (*linkEndpoint)(nil) // netstack asks for it by type assertion
)

// gsoMaxSize leaves netstack's own limit of one segment's payload at 65374 bytes.
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

// framePool holds the slice headers of frames on their way out.
var framePool = sync.Pool{New: func() any { return new([][]byte) }}

// WritePackets implements gstack.LinkWriter. It does not wait: the TUN takes a frame at once.
func (e *linkEndpoint) WritePackets(pkts gstack.PacketBufferList) (int, tcpip.Error) {
	bufs := framePool.Get().(*[][]byte)
	defer framePool.Put(bufs)
	written := 0
	for _, pkt := range pkts.AsSlice() {
		*bufs = appendViews((*bufs)[:0], pkt)
		if pkt.GSOOptions.Type == gstack.GSONone && e.paths != nil { // a SYN-ACK or a RST
			e.paths.lowerMSS((*bufs)[0], true)
		}
		if f, ok := pkt.Owner.(*flow); ok && f.withholds(pkt, *bufs) {
			clear(*bufs)
			written++
			continue
		}
		err := e.link.WriteFrame(offloadOf(pkt), *bufs)
		clear(*bufs)
		if errors.Is(err, os.ErrClosed) {
			return written, &tcpip.ErrClosedForSend{}
		}
		if err != nil {
			e.stats.InboundErrors.Add(1)
		}
		written++ // what the link refused is lost as on any wire, and retransmitted
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

// offloadOf describes to the kernel what netstack left undone. A segment that fits its MSS is no
// super-segment, and pure ACKs come with an MSS of zero.
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
