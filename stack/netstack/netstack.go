//go:build linux

package netstack

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"syntap/tun"
)

// Options of a Stack.
type Options struct {
	Buffers Buffers
	// Rewrite may change the headers of a packet that leaves without payload and offloads, such as
	// a SYN-ACK; nil leaves them. Netstack may hold its locks.
	Rewrite func(headers []byte)
	// Refused is called for each frame that the link did not accept; nil disables it.
	Refused func()
	// Elsewhere returns the other Stack that has a connection which this one does not know, or nil.
	// A client's segment goes there instead of being answered with a RST. nil disables it.
	Elsewhere func(client, server netip.AddrPort) *Stack
}

// Buffers are the sizes of TCP buffers, in bytes. A receive buffer is twice the window that it lets
// the client see, and counts memory, not payload.
type Buffers struct {
	Receive tcpip.TCPReceiveBufferSizeRangeOption
	Send    tcpip.TCPSendBufferSizeRangeOption
}

// Stack is a netstack with one NIC that accepts packets to all addresses.
type Stack struct {
	*gstack.Stack
	Addresses Addresses

	buffers   Buffers
	elsewhere func(client, server netip.AddrPort) *Stack
	endpoint  linkEndpoint
	acceptors *acceptors
}

// NIC is the only interface of a Stack.
const NIC = 1

// timeWait is zero because netstack's Forwarder loses a SYN that meets a connection in TIME-WAIT.
// The TUN neither reorders nor delays packets, so there are no old duplicates to wait for (RFC 9293
// §3.4.1).
const timeWait = 0

// New makes a netstack that terminates connections to any address, and writes to link. The caller
// reads the link.
func New(link tun.Link, o Options) (*Stack, error) {
	if o.Refused == nil {
		o.Refused = func() {}
	}
	// The dialer refuses or redirects loopback destinations, like all others.
	newIPv4 := ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true})
	g := gstack.New(gstack.Options{
		NetworkProtocols: []gstack.NetworkProtocolFactory{newIPv4, ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6,
		},
		HandleLocal: false, // with promiscuous mode it would drop everything
	})
	s := &Stack{
		Stack: g, Addresses: Addresses{net: g, users: make(map[netip.Addr]int)}, buffers: o.Buffers,
		elsewhere: o.Elsewhere,
		endpoint:  linkEndpoint{link: link, rewrite: o.Rewrite, refused: o.Refused},
		acceptors: newAcceptors(),
	}
	if err := s.setTCPOptions(); err != nil {
		return nil, err
	}
	if err := g.CreateNIC(NIC, &s.endpoint); err != nil {
		return nil, fmt.Errorf("create NIC: %s", err)
	}
	if err := g.SetPromiscuousMode(NIC, true); err != nil {
		return nil, fmt.Errorf("set promiscuous mode: %s", err)
	}
	if err := g.SetSpoofing(NIC, true); err != nil {
		return nil, fmt.Errorf("set spoofing: %s", err)
	}
	g.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: NIC},
		{Destination: header.IPv6EmptySubnet, NIC: NIC},
	})
	return s, nil
}

// Close ends all connections. It is called once; Wait returns when they have ended.
func (s *Stack) Close() {
	s.Stack.Close()
	s.acceptors.close()
}

func (s *Stack) setTCPOptions() error {
	// RACK retransmits without loss, on a link that neither loses nor reorders.
	recovery := tcpip.TCPRecovery(0)
	sack := tcpip.TCPSACKEnabled(true)
	reno := tcpip.CongestionControlOption("reno")
	// This makes the window scale fit the largest buffer. The router resizes buffers itself.
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	receive, send := s.buffers.Receive, s.buffers.Send
	for _, o := range []tcpip.SettableTransportProtocolOption{&recovery, &sack, &reno, &moderate, &wait, &receive, &send} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("set TCP option %T: %s", o, err)
		}
	}
	return nil
}
