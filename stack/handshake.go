//go:build linux

package stack

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/netstack"
	tunflow "syntap/tun/flow"
)

// handshake is the state that a connection has only until it is established. Stack.mu guards it.
type handshake struct {
	syn      []byte        // the client's, until it is acknowledged
	timer    *time.Timer   // ends the phase
	deadline time.Time     // of the phase
	stood    time.Duration // by Stack.stood when the deadline was set
	putOff   bool          // the deadline has been
	over     time.Time     // when it had passed, but frames were unread
	dialling bool          // dial is running and owns the host socket
	unwanted bool          // with dialling: dial is to close the socket
	abandon  func()        // with dialling: ends the work of dial early; nil = it is quick
	early    error         // with dialling: the end of the first of several dials; nil = none yet

	rest      []netip.AddrPort // to dial as well, if the first does not accept soon
	hurry     *time.Timer      // begins with these; nil = there were none
	accepting bool             // netstack has begun to make the endpoint
	cut       bool             // netstack must give it up
	recorded  bool             // it is on record
	failure   syscall.Errno    // of the dial, the last; 0 = none

	decision *tunflow.Decision // of policy; nil before the dial
}

// setDeadline bounds the present phase. Stack.mu is held.
func (c *conn) setDeadline(d time.Duration) {
	h := c.handshake
	h.deadline, h.stood, h.putOff = time.Now().Add(d), c.stack.stood.sofar(), false
	if h.timer == nil {
		h.timer = time.AfterFunc(d, c.expire)
		return
	}
	h.timer.Reset(d)
}

func (h *handshake) stopTimers() {
	h.timer.Stop()
	if h.hurry != nil {
		h.hurry.Stop()
	}
}

// stall is how late a tick or timer may be while this process runs.
const stall = 200 * time.Millisecond

// expire ends the phase if its deadline has passed, which is put off by the time for which this
// process has stood still. A handshake ends once all frames have been read that had come by then:
// on a busy machine this process may have turns too short for that, none of which is a standstill.
// The handshake's timer calls it.
func (c *conn) expire() {
	s := c.stack
	s.mu.Lock()
	h, phase := c.handshake, c.phase.Load()
	if h == nil || phase == closed || time.Now().Before(h.deadline) { // the phase has just changed
		s.mu.Unlock()
		return
	}
	if stood := s.stood.sofar() - h.stood; stood > 0 { // frames that arrived in time may not be read yet
		if !h.putOff {
			stood += s.o.sweepTick()
		}
		c.setDeadline(stood)
		h.putOff = true
		s.mu.Unlock()
		return
	}
	if phase == synReceived { // its ACK may be among them
		if h.over.IsZero() {
			h.over = time.Now()
		}
		if s.readUpTo().Before(h.over) {
			c.setDeadline(s.o.sweepTick())
			s.mu.Unlock()
			return
		}
	}
	if h.failure == 0 {
		h.failure = unix.ETIMEDOUT
	}
	s.mu.Unlock()
	switch phase {
	case synSent:
		c.end(noReply)
	case synReceived:
		c.end(noACK)
	case acknowledged, lost:
		c.end(noRecord)
	}
}

// beginsTight reports whether the client's leg of a connection begins with the smallest receive
// buffer.
func (s *Stack) beginsTight(client, server netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[connKey{client: client, server: server}]
	return c != nil && c.memory.tight.Load()
}

// accept makes netstack answer a SYN. It returns when the client has acknowledged the SYN-ACK.
func (s *Stack) accept(r netstack.Request) {
	client, server := r.Ends()
	c := s.beginAccept(connKey{client: client, server: server})
	if c == nil { // not dialled for: from fragments, or the next of a connection just over
		s.stats.DropStraySYN.Add(1)
		r.Drop()
		return
	}
	ep, err := r.Accept(&c.wq)
	switch {
	case err != nil && !c.isCut() && netstack.WasReset(err):
		c.end(clientRST)
		return
	case err != nil:
		c.end(noHandshake)
		return
	}
	c.join(ep)
	c.acknowledge()
}

func (c *conn) isCut() bool {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	return c.handshake.cut
}

// beginAccept returns the connection for which netstack may create an endpoint, once; else nil.
func (s *Stack) beginAccept(key connKey) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[key]
	if c == nil || c.phase.Load() != synReceived || c.handshake.accepting {
		return nil
	}
	c.handshake.accepting = true
	return c
}

// acknowledge notes that the client has completed its handshake. The record may have been written
// before.
func (c *conn) acknowledge() {
	s := c.stack
	s.mu.Lock()
	s.countHalfOpen(c, -1)
	c.phase.Store(acknowledged)
	c.handshake.syn = nil
	s.charge(c)
	ready, stopping := c.handshake.recorded || !s.o.AwaitRecord, s.stopping
	if !ready {
		c.setDeadline(s.o.HandshakeTimeout)
	}
	s.mu.Unlock()
	if ready {
		c.establish()
	}
	if stopping {
		c.end(stopped)
	}
}

// Recorded reports that the handshake of a connection is on record. The payload may pass then, or,
// if the client has reset in the meantime, the end is reported. It may be called before the stack
// knows that the client has acknowledged.
//
// serverISN and opening are kept for FlowDone; the stack does not know which number netstack chose.
func (s *Stack) Recorded(k tunflow.Key, serverISN uint32, opening tunflow.Opening) {
	key := connKey{client: k.Client, server: k.Server}
	s = s.home(key)
	s.mu.Lock()
	c := s.conns[key]
	if c == nil || c.isn != k.ISN || !c.answering() && c.phase.Load() != lost {
		s.mu.Unlock()
		return
	}
	c.handshake.recorded, c.serverISN, c.opening = true, serverISN, opening
	phase := c.phase.Load()
	s.mu.Unlock()
	switch phase {
	case acknowledged:
		c.establish()
	case lost:
		c.end(onRecord)
	}
}

// answering reports whether the far side has accepted and the connection is not established yet.
func (c *conn) answering() bool {
	phase := c.phase.Load()
	return phase == synReceived || phase == acknowledged
}

// establish begins the relay, once.
func (c *conn) establish() {
	s := c.stack
	s.mu.Lock()
	if c.phase.Load() != acknowledged {
		s.mu.Unlock()
		return
	}
	c.handshake.stopTimers()
	c.handshake = nil // not needed any more, and large
	c.holdNames()
	c.phase.Store(established)
	s.mu.Unlock()
	c.outbound.Wake() // events may have passed
	c.inbound.Wake()
}

// report calls Options.DialDone with the end of a dial.
func (s *Stack) report(c *conn, a tunflow.Answer, errno syscall.Errno) {
	s.stats.Dials[a].Add(1)
	if s.o.DialDone == nil {
		return
	}
	d := tunflow.Dial{Key: c.name(), Answer: a}
	d.Remote, d.DialTime, d.MSS = c.upstream.server, time.Since(c.started), c.mss
	if errno != 0 {
		d.Error = unix.ErrnoName(errno)
	}
	if a == tunflow.Connected {
		d.Local = c.upstream.client
	}
	s.mu.Lock()
	if h := c.handshake; h != nil {
		d.Decision = h.decision
	}
	s.mu.Unlock()
	s.o.DialDone(d)
}

// reportDropped reports a dropped SYN to Options.DialDone. errno is the closest local failure.
func (s *Stack) reportDropped(key connKey, isn uint32, errno syscall.Errno) {
	if s.o.DialDone != nil {
		d := tunflow.Dial{Key: key.name(isn), Answer: tunflow.Dropped}
		d.Error = unix.ErrnoName(errno)
		s.o.DialDone(d)
	}
}
