//go:build linux

package stack

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/budget"
	"syntap/stack/netstack"
	"syntap/stack/sockmem"
)

// A connection is charged (package budget)
//
//   - connMemory and its SYN for as long as it is in the table,
//   - a room: the bytes that its buffers are likely to hold, or those found in them when that is
//     more,
//   - and, for each direction that has moved much, a large buffer (buffer.go).
//
// The room of a connection is the bytes that it is charged for besides large buffers. A connection
// begins with small buffers and smallRoom for both its directions, and keeps them as long as memory
// is not scarce. Where it is, a connection that has been quiet is tightened: its buffers in
// netstack and in the kernel take a few KiB. After tightMoved bytes that move it has small ones
// again; where new connections begin with tight ones, after readMoved bytes.
//
// A tight connection is charged for the bytes that the sweeper finds in it: of many that are idle
// few begin to move at a time.
const (
	smallRoom  = 192 << 10
	tightRoom  = 1 << 10
	tightMoved = 8 << 10
	readMoved  = 128 << 10 // more than the kernel of an end usually takes if its program reads nothing
)

// connMemory is the memory of an idle connection in bytes, as measured: its conn, netstack's
// endpoint with its timers, the tap's entry, and the kernel's socket, file and epoll item.
const connMemory = 11 << 10

// charge updates the charge for the SYNs that a connection keeps. mu is held.
func (s *Stack) charge(c *conn) {
	n := int64(connMemory)
	if c.handshake != nil {
		n += int64(len(c.handshake.syn))
	}
	if c.next != nil {
		n += int64(len(c.next.packet))
	}
	c.payer.Charge(n - c.fixed)
	c.fixed = n
}

// fullOf returns the counter of packets for which an account had no room.
func (s *Stack) fullOf(full *budget.Account) *atomic.Uint64 {
	if full.OfSource() {
		return &s.stats.DropMemoryPerSource
	}
	return &s.stats.DropMemory
}

// takeRoom charges the room of a connection that has reached its far side, or returns the account
// that is full.
func (c *conn) takeRoom() (full *budget.Account) {
	if c.payer.AdmitRoomy(smallRoom) == nil {
		c.room.Store(smallRoom)
		return nil
	}
	if full = c.payer.Admit(tightRoom); full == nil {
		c.room.Store(tightRoom)
		c.tight.Store(true)
	}
	return full
}

// setRoom changes what is charged for a connection's room, unless the connection is gone.
func (c *conn) setRoom(n int64) {
	for {
		old := c.room.Load()
		if old < 0 || old == n {
			return
		}
		if c.room.CompareAndSwap(old, n) {
			c.payer.Charge(n - old)
			return
		}
	}
}

// leaveRoom ends the charge.
func (c *conn) leaveRoom() {
	c.payer.Charge(-c.room.Swap(-1))
	c.endLoan()
}

func (c *conn) endLoan() {
	if c.loosened.Swap(false) {
		c.payer.EndLoan(smallRoom - tightRoom)
	}
}

// tighten gives a quiet connection tight buffers if memory is scarce. The caller owns a direction
// that is not done.
func (c *conn) tighten() {
	if !c.tight.Load() && !c.payer.Scarce() {
		return
	}
	c.tight.Store(true)
	c.resizeBuffers()
	c.endLoan()
	c.weigh()
}

// loosen gives a tight connection that moves bytes small buffers again, if there is memory. The
// caller owns a direction that is not done.
func (c *conn) loosen() {
	if !c.payer.Lend(smallRoom-tightRoom, 1) {
		return
	}
	if !c.tight.CompareAndSwap(true, false) { // the other direction has
		c.payer.TakeBack(smallRoom - tightRoom)
		return
	}
	c.room.Add(smallRoom - tightRoom)
	c.loosened.Store(true)
	c.resizeBuffers()
}

// resizeBuffers sets the sizes of a connection's buffers. The caller owns a direction that is not
// done; both directions may call it at once.
func (c *conn) resizeBuffers() {
	c.sizing.Lock()
	defer c.sizing.Unlock()
	c.resizeSocket()
	for _, h := range []*direction{&c.outbound, &c.inbound} {
		if !h.large.Load() {
			h.setBuffer(h.smallBuffer())
		}
	}
}

// resizeSocket bounds the buffers of the host socket. The caller keeps it from being closed.
func (c *conn) resizeSocket() {
	if size := c.wantedSize(); size != c.socketSize() {
		sockmem.Resize(c.fd, size)
		c.socket.Store(uint32(size))
	}
}

func (c *conn) socketSize() sockmem.Size { return sockmem.Size(c.socket.Load()) }

// wantedSize returns the size for the buffers of the host socket. The kernel would let them grow to
// several times smallRoom while the far side sends and the client does not read.
func (c *conn) wantedSize() sockmem.Size {
	switch large := c.large(); {
	case c.tight.Load():
		return sockmem.Tight
	case c.payer.Free(), large && !c.payer.Scarce():
		return sockmem.ByKernel
	case large:
		return sockmem.Large
	}
	return sockmem.Small
}

// fitSocket adapts the host socket's buffers to the free memory. It enlarges them only while the
// connection has large buffers; those of others grow when they move bytes.
func (c *conn) fitSocket() {
	if size := c.wantedSize(); size == c.socketSize() || size < c.socketSize() && !c.large() {
		return
	}
	c.stack.mu.Lock() // with it the socket stays
	defer c.stack.mu.Unlock()
	if c.phase.Load() == established && c.sizing.TryLock() { // a goroutine that resizes buffers may wait for mu
		c.resizeSocket()
		c.sizing.Unlock()
	}
}

// large reports whether a direction has a large buffer.
func (c *conn) large() bool { return c.outbound.large.Load() || c.inbound.large.Load() }

// weigh charges a connection for the bytes that it really holds, if these are more than its room.
func (c *conn) weigh() {
	room := int64(smallRoom)
	if c.tight.Load() {
		room = tightRoom
	}
	c.setRoom(max(room, c.weight()))
}

// weight returns the bytes that a connection holds in small or tight buffers.
func (c *conn) weight() int64 {
	n := sockmem.Stream(c.fd)
	if !c.outbound.large.Load() {
		n += netstack.ReceiveMemory(c.ep)
	}
	if !c.inbound.large.Load() {
		n += int64(c.kept.Load())
		if c.ep.Readiness(waiter.WritableEvents) == 0 {
			n += c.inbound.smallBuffer()
		}
	}
	return n
}

// Memory adds up the memory of every connection.
func (s *Stack) Memory() Memory {
	m := Memory{
		Held:     s.stats.Datagrams.Memory.Load(),
		Reserved: s.memory.Charged(),
		Limit:    s.memory.Limit(),
	}
	for _, s := range s.shards {
		s.mu.Lock()
		for _, c := range s.conns {
			m.Held += c.fixed
		}
		s.mu.Unlock()
	}
	for _, c := range s.relayedByAll() {
		m.Held += c.holds()
	}
	return m
}

// holds returns the bytes that a connection holds in buffers of any size.
func (c *conn) holds() int64 {
	n := int64(c.kept.Load()) + sockmem.Stream(c.fd) + netstack.ReceiveMemory(c.ep)
	if c.ep.Readiness(waiter.WritableEvents) == 0 {
		n += c.inbound.bufferSize()
	}
	return n
}
