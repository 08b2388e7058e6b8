//go:build linux

package stack

import (
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun"
)

// outboundSYN handles a client's SYN and reports whether netstack gets it now. A new SYN starts a
// dial and is held back until the far side has answered: dial before accept. f belongs to the
// caller and is copied.
func (s *Stack) outboundSYN(key connKey, f *tun.Frame) (deliver bool) {
	isn := f.Headers.Seq
	if _, ours := s.sockets.Of(key); ours {
		s.stats.DropOwnSocket.Add(1)
		s.reportDropped(key, isn, unix.ELOOP)
		return false
	}
	s.mu.Lock()
	if c := s.conns[key]; c != nil {
		return c.repeatedSYN(f) // unlocks
	}
	if home := s.takeHome(key); home != s {
		s.mu.Unlock()
		s.passSYN(home, key, f)
		s.giveHome(key)
		return false
	}
	c := s.admit(key, isn, keepSYN(f))
	if c == nil {
		s.giveHome(key)
	}
	s.mu.Unlock()
	s.begin(c, key, isn)
	return false
}

// begin dials for an admitted SYN; c is nil if it was not admitted.
func (s *Stack) begin(c *conn, key connKey, isn uint32) {
	if c == nil {
		s.reportDropped(key, isn, unix.ENOBUFS)
		return
	}
	c.dial()
}

// admit adds a connection to the table before its dial, or returns nil and counts the reason. mu is
// held.
func (s *Stack) admit(key connKey, isn uint32, syn []byte) *conn {
	if s.stopping {
		return nil
	}
	if s.stats.TCPFlows.Add(1) > int64(s.o.TCPFlows) { // other shards count, too
		s.stats.TCPFlows.Add(-1)
		s.stats.DropTCPFlows.Add(1)
		return nil
	}
	isLocal := s.o.Local(key.client.Addr())
	if full := s.halfOpenFull(key.client.Addr(), isLocal); full != nil { // connected looks again
		s.stats.TCPFlows.Add(-1)
		full.Add(1)
		return nil
	}
	payer, fixed := s.memory.Payer(key.client.Addr(), isLocal), connMemory+int64(len(syn))
	if full := payer.Admit(fixed); full != nil {
		s.stats.TCPFlows.Add(-1)
		s.fullOf(full).Add(1)
		s.memory.Leave(&payer)
		return nil
	}
	c := newConn(s, key, isn, syn)
	c.memory.payer, c.memory.fixed, c.isLocal = payer, fixed, isLocal
	c.unhold = s.dialer.Hold(key.server.Addr())
	s.noteDSCP(c, dscpOf(syn))
	s.conns[key] = c
	s.live.Add(1)
	c.setDeadline(s.o.DialTimeout)
	return c
}

// forget removes a finished connection from the table, and begins the next one on its 4-tuple if a
// SYN waits for that.
func (s *Stack) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c.key)
	s.noteDSCP(c, 0)
	if c.handshake != nil {
		c.handshake.stopTimers()
	}
	s.stats.TCPFlows.Add(-1)
	c.memory.payer.Charge(-c.memory.fixed)
	c.memory.leaveRoom()
	s.memory.Leave(&c.memory.payer)
	var next *conn
	waits := c.next != nil && time.Since(c.next.at) < nextSYNAge
	if waits {
		next = s.admit(c.key, c.next.isn, c.next.packet)
	}
	if next == nil {
		s.giveHome(c.key)
	}
	s.mu.Unlock()
	s.net.Addresses.Release(&c.lease, c.key.client.Addr(), c.key.server.Addr())
	if c.unhold != nil {
		c.unhold()
	}
	if s.o.Gone != nil {
		s.o.Gone(c.name())
	}
	if waits {
		s.begin(next, c.key, c.next.isn)
	}
	s.live.Done()
}
