//go:build linux

package stack

import (
	"reflect"
	"unsafe"

	"gvisor.dev/gvisor/pkg/atomicbitops"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// The room of a flow is what it may hold besides large buffers, in bytes. A flow begins with small
// buffers and smallRoom for both its directions, and keeps them as long as memory is not scarce.
// Where it is, a flow that has been quiet is tightened: its buffers in netstack and in the kernel
// take a few KiB. When it has moved tightMoved bytes it has small ones again.
const (
	smallRoom  = 192 << 10
	tightRoom  = 16 << 10
	tightMoved = 16 << 10
)

// takeRoom gives a flow that has reached its far side a room, if there is one.
func (f *flow) takeRoom() (ok bool) {
	m := &f.stack.memory
	if m.take(smallRoom, m.roomy()) {
		f.room.Store(smallRoom)
		return true
	}
	if !m.admit(tightRoom) {
		return false
	}
	f.room.Store(tightRoom)
	f.tight.Store(true)
	return true
}

// setRoom changes what is charged for a flow's room, unless the flow is gone.
func (f *flow) setRoom(n int64) {
	for {
		old := f.room.Load()
		if old < 0 || old == n {
			return
		}
		if f.room.CompareAndSwap(old, n) {
			f.stack.memory.held.Add(n - old)
			return
		}
	}
}

// leaveRoom ends the charge.
func (f *flow) leaveRoom() {
	f.stack.memory.held.Add(-f.room.Swap(-1))
	f.endLoan()
}

func (f *flow) endLoan() {
	if f.loosened.Swap(false) {
		f.stack.memory.lent.Add(tightRoom - smallRoom)
	}
}

// tighten has a quiet flow make do with little, where memory is scarce. The caller owns a half that
// is not done.
func (f *flow) tighten() {
	if !f.tight.Load() && !f.stack.memory.scarce() {
		return
	}
	f.tight.Store(true)
	f.resizeBuffers()
	f.endLoan()
	f.weigh()
}

// loosen gives a tight flow that moves small buffers again, if there is room. The caller owns a
// half that is not done.
func (f *flow) loosen() {
	if !f.stack.memory.lend(smallRoom-tightRoom, 1) {
		return
	}
	if !f.tight.CompareAndSwap(true, false) { // the other half has
		f.stack.memory.takeBack(smallRoom - tightRoom)
		return
	}
	f.room.Add(smallRoom - tightRoom)
	f.loosened.Store(true)
	f.resizeBuffers()
}

// resizeBuffers gives a flow the buffers that it is to have. Both halves may call it at a time.
func (f *flow) resizeBuffers() {
	f.sizing.Lock()
	defer f.sizing.Unlock()
	size := sizedByKernel
	switch {
	case f.tight.Load():
		size = sizedTight
	case f.curbed.Load():
		size = sizedSmall
	case f.large():
		size = sizedLarge
	}
	if size != f.socket {
		resizeSocket(f.fd, size)
		f.socket = size
	}
	for _, h := range []*half{&f.outbound, &f.inbound} {
		if !h.large.Load() {
			h.setBuffer(h.smallBuffer())
		}
	}
}

// large reports whether a direction has a large buffer.
func (f *flow) large() bool { return f.outbound.large.Load() || f.inbound.large.Load() }

// curb keeps the kernel from growing the host socket's buffers when a direction in full swing has
// small ones here, and bounds them when it has a large one and memory is scarce.
func (f *flow) curb(yes bool) {
	if f.curbed.Swap(yes) != yes || f.stack.memory.scarce() {
		f.resizeBuffers()
	}
}

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
		n += receiveMemory(f.ep.(*tcp.Endpoint))
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
	m := Memory{Reserved: s.memory.held.Load(), Limit: s.memory.limit.Load()}
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
	n := f.kept.Load() + socketMemory(f.fd) + receiveMemory(f.ep.(*tcp.Endpoint))
	if f.ep.Readiness(waiter.WritableEvents) == 0 {
		n += f.inbound.bufferSize()
	}
	return n
}

// receiveMemory returns the memory of what a client has sent and the flow has not taken, segments
// ahead of a gap too.
func receiveMemory(ep *tcp.Endpoint) int64 {
	return int64((*atomicbitops.Int32)(unsafe.Add(unsafe.Pointer(ep), receiveMemoryAt)).Load())
}

// receiveMemoryAt is where netstack keeps that sum. It tells only the payload in order by an
// option: a byte in a segment of its own is a byte there, and a KiB of memory.
var receiveMemoryAt = func() uintptr {
	field, ok := reflect.TypeFor[tcp.Endpoint]().FieldByName("rcvMemUsed")
	if !ok || field.Type != reflect.TypeFor[atomicbitops.Int32]() {
		panic("netstack does not count receive memory as rcvMemUsed any more")
	}
	return field.Offset
}()
