//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/netstack"
)

// The room of a flow is the bytes that it is charged for besides large buffers. A flow begins with
// small buffers and smallRoom for both its directions, and keeps them as long as memory is not
// scarce. Where it is, a flow that has been quiet is tightened: its buffers in netstack and in the
// kernel take a few KiB. After tightMoved bytes that move it has small ones again.
//
// A tight flow is charged for the bytes that the sweeper finds in it: of many that are idle few
// begin to move at a time.
const (
	smallRoom  = 192 << 10
	tightRoom  = 1 << 10
	tightMoved = 8 << 10
)

// takeRoom gives a flow that has reached its far side a room, or returns the account that is full.
func (f *flow) takeRoom() (full *account) {
	if f.payer.take(smallRoom, func(b *bounds) int64 { return b.roomy }) == nil {
		f.room.Store(smallRoom)
		return nil
	}
	if full = f.payer.admit(tightRoom); full == nil {
		f.room.Store(tightRoom)
		f.tight.Store(true)
	}
	return full
}

// setRoom changes what is charged for a flow's room, unless the flow is gone.
func (f *flow) setRoom(n int64) {
	for {
		old := f.room.Load()
		if old < 0 || old == n {
			return
		}
		if f.room.CompareAndSwap(old, n) {
			f.payer.charge(n - old)
			return
		}
	}
}

// leaveRoom ends the charge.
func (f *flow) leaveRoom() {
	f.payer.charge(-f.room.Swap(-1))
	f.endLoan()
}

func (f *flow) endLoan() {
	if f.loosened.Swap(false) {
		f.payer.endLoan(smallRoom - tightRoom)
	}
}

// tighten has a quiet flow make do with little, where memory is scarce. The caller owns a half that
// is not done.
func (f *flow) tighten() {
	if !f.tight.Load() && !f.payer.scarce() {
		return
	}
	f.tight.Store(true)
	f.resizeBuffers()
	f.endLoan()
	f.weigh()
}

// loosen gives a tight flow that moves small buffers again, if there is room. The caller owns a half
// that is not done.
func (f *flow) loosen() {
	if !f.payer.lend(smallRoom-tightRoom, 1) {
		return
	}
	if !f.tight.CompareAndSwap(true, false) { // the other half has
		f.payer.takeBack(smallRoom - tightRoom)
		return
	}
	f.room.Add(smallRoom - tightRoom)
	f.loosened.Store(true)
	f.resizeBuffers()
}

// resizeBuffers gives a flow the buffers that it is to have. The caller owns a half that is not done;
// both halves may call it at a time.
func (f *flow) resizeBuffers() {
	f.sizing.Lock()
	defer f.sizing.Unlock()
	f.resizeSocket()
	for _, h := range []*half{&f.outbound, &f.inbound} {
		if !h.large.Load() {
			h.setBuffer(h.smallBuffer())
		}
	}
}

// resizeSocket bounds the buffers of the host socket. The caller keeps it from being closed.
func (f *flow) resizeSocket() {
	if size := f.wantedSize(); size != f.socketSize() {
		resizeSocket(f.fd, size)
		f.socket.Store(uint32(size))
	}
}

func (f *flow) socketSize() socketSize { return socketSize(f.socket.Load()) }

// wantedSize returns the size for the buffers of the host socket. What the kernel would let them grow
// to while the far side sends and the client does not read is several times smallRoom.
func (f *flow) wantedSize() socketSize {
	switch large := f.large(); {
	case f.tight.Load():
		return sizedTight
	case f.payer.free(), large && !f.payer.scarce():
		return sizedByKernel
	case large:
		return sizedLarge
	}
	return sizedSmall
}

// fitSocket has the host socket of a flow follow what memory there is. It grows only while the flow
// has large buffers: for others it does so when they move.
func (f *flow) fitSocket() {
	if size := f.wantedSize(); size == f.socketSize() || size < f.socketSize() && !f.large() {
		return
	}
	f.stack.mu.Lock() // with it the socket stays
	defer f.stack.mu.Unlock()
	if f.phase.Load() == established && f.sizing.TryLock() { // who resizes buffers may wait for mu
		f.resizeSocket()
		f.sizing.Unlock()
	}
}

// large reports whether a direction has a large buffer.
func (f *flow) large() bool { return f.outbound.large.Load() || f.inbound.large.Load() }

// weigh charges a flow for what it really holds, if that is more than its room.
func (f *flow) weigh() {
	room := int64(smallRoom)
	if f.tight.Load() {
		room = tightRoom
	}
	f.setRoom(max(room, f.weight()))
}

// weight returns the bytes that a flow holds in small or tight buffers.
func (f *flow) weight() int64 {
	n := socketMemory(f.fd)
	if !f.outbound.large.Load() {
		n += netstack.ReceiveMemory(f.ep)
	}
	if !f.inbound.large.Load() {
		n += f.kept.Load()
		if f.ep.Readiness(waiter.WritableEvents) == 0 {
			n += f.inbound.smallBuffer()
		}
	}
	return n
}

// Memory looks at every connection.
func (s *Stack) Memory() Memory {
	m := Memory{Reserved: s.memory.all.held.Load(), Limit: s.memory.limit.Load()}
	s.mu.Lock()
	for _, f := range s.flows {
		m.Held += f.fixed
	}
	s.mu.Unlock()
	for _, f := range s.openFlows() {
		m.Held += f.holds()
	}
	return m
}

// holds returns the bytes that a flow holds in buffers of any size.
func (f *flow) holds() int64 {
	n := f.kept.Load() + socketMemory(f.fd) + netstack.ReceiveMemory(f.ep)
	if f.ep.Readiness(waiter.WritableEvents) == 0 {
		n += f.inbound.bufferSize()
	}
	return n
}
