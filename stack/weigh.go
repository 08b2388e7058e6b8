//go:build linux

package stack

import (
	"sync"
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
//     more; of a host socket that the kernel may have enlarged, the size of its buffers,
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

// holding is the memory that a connection holds, and is charged for.
type holding struct {
	payer    budget.Payer  // of all of it
	fixed    int64         // charged besides room and large buffers; guarded by stack.mu
	room     atomic.Int64  // charged for its buffers; -1 = gone
	tight    atomic.Bool   // its buffers are tight
	loosened atomic.Bool   // its room is lent
	sizing   sync.Mutex    // held while buffers are resized
	socket   atomic.Uint32 // of the host socket (socketSize, widest); written with sizing held
	kept     atomic.Int32  // bytes of memory behind unsent
}

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
	c.memory.payer.Charge(n - c.memory.fixed)
	c.memory.fixed = n
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
func (h *holding) takeRoom() (full *budget.Account) {
	if h.payer.AdmitRoomy(smallRoom) == nil {
		h.room.Store(smallRoom)
		return nil
	}
	if full = h.payer.Admit(tightRoom); full == nil {
		h.room.Store(tightRoom)
		h.tight.Store(true)
	}
	return full
}

// setRoom changes what is charged for a connection's room, unless the connection is gone.
func (h *holding) setRoom(n int64) {
	for {
		old := h.room.Load()
		if old < 0 || old == n {
			return
		}
		if h.room.CompareAndSwap(old, n) {
			h.payer.Charge(n - old)
			return
		}
	}
}

// leaveRoom ends the charge.
func (h *holding) leaveRoom() {
	h.payer.Charge(-h.room.Swap(-1))
	h.endLoan()
}

func (h *holding) endLoan() {
	if h.loosened.Swap(false) {
		h.payer.EndLoan(smallRoom - tightRoom)
	}
}

// tighten gives a quiet connection tight buffers if memory is scarce, unless bytes of its client
// wait for more. The caller owns a direction that is not done.
func (c *conn) tighten() {
	c.memory.sizing.Lock()
	tight := c.memory.tight.Load() || c.memory.payer.Scarce() && !c.seen.has(clientHeld)
	c.memory.tight.Store(tight)
	c.memory.sizing.Unlock()
	if !tight {
		return
	}
	c.resizeBuffers()
	c.memory.endLoan()
	c.weigh()
}

// loosen gives a tight connection that moves bytes small buffers again, if there is memory. The
// caller owns a direction that is not done.
func (c *conn) loosen() {
	if !c.memory.payer.Lend(smallRoom-tightRoom, 1) {
		return
	}
	if !c.memory.tight.CompareAndSwap(true, false) { // the other direction has
		c.memory.payer.TakeBack(smallRoom - tightRoom)
		return
	}
	c.memory.room.Add(smallRoom - tightRoom)
	c.memory.loosened.Store(true)
	c.resizeBuffers()
}

// resizeBuffers sets the sizes of a connection's buffers. The caller owns a direction that is not
// done; both directions may call it at once.
func (c *conn) resizeBuffers() {
	c.memory.sizing.Lock()
	defer c.memory.sizing.Unlock()
	c.resizeSocket()
	for _, d := range []*direction{&c.outbound, &c.inbound} {
		if !d.large.Load() {
			d.setBuffer(d.smallBuffer())
		}
	}
}

// resizeSocket bounds the buffers of the host socket. The caller keeps it from being closed.
func (c *conn) resizeSocket() {
	from, to := c.memory.socketSize(), c.wantedSize()
	if to == from {
		return
	}
	window := c.memory.widest()
	if from == sockmem.ByKernel && to != sockmem.Large {
		window = int(sockmem.Of(c.fd).ReceiveBuffer) / 2
	}
	sockmem.Resize(c.fd, from, to, window)
	c.memory.socket.Store(uint32(to) | uint32(window>>10)<<8)
}

func (h *holding) socketSize() sockmem.Size { return sockmem.Size(h.socket.Load() & 0xff) }

// widest returns the window of the host socket when the kernel last sized it, in bytes.
func (h *holding) widest() int { return int(h.socket.Load()>>8) << 10 }

// wantedSize returns the size for the buffers of the host socket. The kernel would let them grow to
// several times smallRoom while the far side sends and the client does not read.
func (c *conn) wantedSize() sockmem.Size {
	switch large := c.large(); {
	case c.memory.tight.Load():
		return sockmem.Tight
	case large && !c.memory.payer.Scarce():
		return sockmem.ByKernel
	case large:
		return sockmem.Large
	}
	return sockmem.Small
}

// fitSocket adapts the host socket's buffers to the free memory. It enlarges them only while the
// connection has large buffers; those of others grow when they move bytes.
func (c *conn) fitSocket() {
	if size := c.wantedSize(); size == c.memory.socketSize() || size < c.memory.socketSize() && !c.large() {
		return
	}
	c.stack.mu.Lock() // with it the socket stays
	defer c.stack.mu.Unlock()
	if c.phase.Load() == established && c.memory.sizing.TryLock() { // a goroutine that resizes buffers may wait for mu
		c.resizeSocket()
		c.memory.sizing.Unlock()
	}
}

// fitMoving adapts the buffers of a host socket that moves much, before the kernel has grown them
// by more than that. The caller owns a direction that is not done.
func (c *conn) fitMoving() {
	c.weigh()
	if c.wantedSize() != c.memory.socketSize() {
		c.resizeBuffers()
		c.weigh()
	}
}

// large reports whether a direction has a large buffer.
func (c *conn) large() bool { return c.outbound.large.Load() || c.inbound.large.Load() }

// weigh charges a connection for the bytes that it really holds, if these are more than its room.
func (c *conn) weigh() {
	room := int64(smallRoom)
	if c.memory.tight.Load() {
		room = tightRoom
	}
	c.memory.setRoom(max(room, c.weight()))
}

// weight returns the bytes that a connection holds in small or tight buffers.
func (c *conn) weight() int64 {
	var n int64
	if c.large() {
		n = sockmem.Room(c.fd)
	} else {
		n = sockmem.Stream(c.fd)
	}
	if !c.outbound.large.Load() {
		n += netstack.ReceiveMemory(c.ep)
	}
	if !c.inbound.large.Load() {
		n += int64(c.memory.kept.Load())
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
			m.Held += c.memory.fixed
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
	n := int64(c.memory.kept.Load()) + sockmem.Stream(c.fd) + netstack.ReceiveMemory(c.ep)
	if c.ep.Readiness(waiter.WritableEvents) == 0 {
		n += c.inbound.bufferSize()
	}
	return n
}
