//go:build linux

package stack

import (
	"net/netip"

	"syntap/stack/dial"
	"syntap/tun/packet"
)

// PathMTU returns the MTU of the path that a TCP connection takes from here to its server, 0 if it
// is unknown: the host socket's once the far side has accepted, before that the route's. It may be
// called with netstack's locks held.
func (s *Stack) PathMTU(client, server netip.AddrPort) packet.MTU {
	if mtu := s.socketMTU(connKey{client: client, server: server}); mtu > 0 {
		return mtu
	}
	targets, decision := s.dialer.Targets(dial.Flow{Client: client, Server: server}, nil)
	if decision.Deny {
		return 0
	}
	return s.dialer.RouteMTU(targets[0])
}

func (s *Stack) socketMTU(key connKey) packet.MTU {
	s = s.home(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[key]
	if c == nil || !c.answering() || c.fd < 0 {
		return 0
	}
	return dial.PathMTU(c.fd, c.upstream.server.Addr())
}

// sizeStream bounds the segments of a connection's socket before it connects. It returns the MSS
// that was set, 0 if none.
func (s *Stack) sizeStream(fd int, key connKey, target netip.Addr) (mss packet.MSS, err error) {
	if s.o.MSS != nil {
		mss = s.o.MSS(key.client, key.server)
	}
	if mss > 0 {
		if mss, err = dial.SetMSS(fd, mss); err != nil {
			return 0, err
		}
	}
	if target.Is4() {
		err = dial.SetDF(fd, s.df(key.client, key.server))
	}
	return mss, err
}

// df returns the don't-fragment policy of a host socket.
func (s *Stack) df(client, server netip.AddrPort) packet.DF {
	if s.o.DF == nil {
		return packet.PreserveDF
	}
	return s.o.DF(client, server)
}
