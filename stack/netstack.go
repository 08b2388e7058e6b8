//go:build linux

package stack

import (
	"fmt"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const nicID = 1

// timeWait is none because netstack's Forwarder loses a SYN that meets a connection in TIME-WAIT.
// The TUN neither reorders nor delays packets, so there are no old duplicates to wait for (RFC 9293
// §3.4.1).
const timeWait = 0

// newNetstack makes a netstack that terminates connections to every address there is.
func newNetstack(link *linkEndpoint) (*gstack.Stack, error) {
	// Loopback destinations are the dialer's to refuse or to redirect, as all are.
	newIPv4 := ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true})
	s := gstack.New(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{newIPv4, ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		HandleLocal:        false, // with promiscuous mode it would drop everything
	})
	if err := setTCPOptions(s); err != nil {
		return nil, err
	}
	if err := s.CreateNIC(nicID, link); err != nil {
		return nil, fmt.Errorf("create NIC: %s", err)
	}
	if err := s.SetPromiscuousMode(nicID, true); err != nil {
		return nil, fmt.Errorf("set promiscuous mode: %s", err)
	}
	if err := s.SetSpoofing(nicID, true); err != nil {
		return nil, fmt.Errorf("set spoofing: %s", err)
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nicID},
		{Destination: header.IPv6EmptySubnet, NIC: nicID},
	})
	return s, nil
}

func setTCPOptions(s *gstack.Stack) error {
	recovery := tcpip.TCPRecovery(0) // RACK retransmits without loss on a link that neither loses nor reorders
	sack := tcpip.TCPSACKEnabled(true)
	reno := tcpip.CongestionControlOption("reno")
	moderate := tcpip.TCPModerateReceiveBufferOption(true) // has the window scale fit large buffers; it is we who resize them
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	for _, o := range []tcpip.SettableTransportProtocolOption{
		&recovery, &sack, &reno, &moderate, &wait,
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tightReceiveBuffer, Default: smallReceiveBuffer, Max: largeReceiveBuffer},
		&tcpip.TCPSendBufferSizeRangeOption{Min: tightSendBuffer, Default: smallSendBuffer, Max: largeSendBuffer},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return fmt.Errorf("set TCP option %T: %s", o, err)
		}
	}
	return nil
}
