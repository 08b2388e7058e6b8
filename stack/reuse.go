//go:build linux

package stack

import (
	"time"

	"syntap/tun"
)

// repeatedSYN handles a SYN on a 4-tuple in use, and reports whether netstack gets it. It is called
// with Stack.mu held and releases it.
func (c *conn) repeatedSYN(f *tun.Frame) (deliver bool) {
	isn := f.Headers.Seq
	s, h, phase := c.stack, c.handshake, c.phase.Load()
	if c.isn == isn && phase <= acknowledged {
		retry := phase == synSent && c.fd < 0 && !h.dialling
		h.dialling = h.dialling || retry
		s.mu.Unlock()
		if retry {
			c.dial()
		}
		return phase != synSent // our SYN-ACK was lost
	}
	waits := c.next != nil && c.next.isn == isn
	if !waits && phase != synReceived {
		c.next = &nextSYN{isn: isn, packet: keepSYN(f), at: time.Now()}
		s.charge(c)
	}
	s.mu.Unlock()
	switch {
	case phase == synSent:
		c.end(givenUp)
	case waits, phase == synReceived:
		c.challenge(keepSYN(f))
	}
	return false
}

// challenge makes netstack ask the client of a SYN with a new number whether it has given up the
// connection that netstack knows (RFC 5961 §4). If so, the client sends a RST, and its SYN again.
// The stack does not begin the next connection by itself, because connection tracking must see that
// SYN.
//
// Netstack gets the SYN with the number of the connection's first SYN. It would answer the new
// number with a RST, which refuses the new connection, if the number is in the window of a
// handshake, or if a RST of the client is still in its queue.
func (c *conn) challenge(syn []byte) {
	renumberSYN(syn, c.isn)
	c.stack.net.DeliverCopy(syn)
}

// nextSYN is a SYN that came while its 4-tuple was in use. Mostly the old connection is just
// ending: netstack processes segments later, and may not yet have seen the RST or last ACK that the
// client sent just before. If the old connection ends within nextSYNAge, the SYN begins the next
// one; after that the client sends another SYN.
type nextSYN struct {
	isn    uint32
	packet []byte
	at     time.Time
}

const nextSYNAge = time.Second // clients retransmit a SYN after this time (RFC 6298 §2)
