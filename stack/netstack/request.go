//go:build linux

package netstack

import (
	"math"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Request is a client's SYN. Its receiver must call either Accept or Drop.
type Request struct{ forwarded *tcp.ForwarderRequest }

// Ends returns the ends of the connection that the client asks for.
func (r Request) Ends() (client, server netip.AddrPort) { return ends(r.forwarded.ID()) }

// Accept answers the SYN, and waits until the client has acknowledged or has reset. A notification
// of q of EventOut ends the wait with an error.
func (r Request) Accept(q *waiter.Queue) (tcpip.Endpoint, tcpip.Error) {
	ep, err := r.forwarded.CreateEndpoint(q)
	r.forwarded.Complete(false)
	if e, ok := ep.(*tcp.Endpoint); ok && err == nil {
		slimScoreboard(e)
	}
	return ep, err
}

// WasReset reports whether Accept has failed because the client has acknowledged the SYN-ACK and
// then reset, before the end of the wait. An error of a notification may look the same.
func WasReset(err tcpip.Error) bool {
	switch err.(type) {
	case *tcpip.ErrConnectionReset, *tcpip.ErrAborted: // in ESTABLISHED, in CLOSE-WAIT
		return true
	}
	return false // a RST in SYN-RECEIVED is ErrConnectionRefused
}

// Drop leaves the SYN without an answer.
func (r Request) Drop() { r.forwarded.Complete(false) }

// HandleTCP sets the function accept that gets each SYN which begins a connection; it may wait for
// the client. If small returns true, the connection begins with the smallest receive buffer, else
// with the default one. small must not block.
func (s *Stack) HandleTCP(accept func(Request), small func(client, server netip.AddrPort) bool) {
	handle := func(r *tcp.ForwarderRequest) { s.acceptors.run(func() { accept(Request{r}) }) }
	// No limit of the forwarders' own: the router has counted a SYN before it delivers it.
	usual := tcp.NewForwarder(s.Stack, s.buffers.Receive.Default, math.MaxInt, handle)
	least := tcp.NewForwarder(s.Stack, s.buffers.Receive.Min, math.MaxInt, handle)
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
		if s.elsewhere != nil {
			if to := s.elsewhere(ends(id)); to != nil {
				to.Deliver(pkt.ToView(), nil)
				return true
			}
		}
		if small(ends(id)) {
			return least.HandlePacket(id, pkt)
		}
		return usual.HandlePacket(id, pkt)
	})
}

// ends returns the ends of a connection by netstack's name for it, whose local end is the server.
func ends(id gstack.TransportEndpointID) (client, server netip.AddrPort) {
	return addrPort(id.RemoteAddress, id.RemotePort), addrPort(id.LocalAddress, id.LocalPort)
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(ip, port)
}
