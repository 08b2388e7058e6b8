//go:build linux

package stack

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Buffers of one connection in netstack, in bytes. A receive buffer is twice the window that it lets the client see, and
// counts memory, not payload.
//
// A flow begins with small buffers. A half that has moved growAfter bytes gets a large one, as long as the budget of the
// stack has room for it, and gives it back when it is quiet and has nothing left in it. So what flows can hold in total is
// TCPFlows small buffers and the budget: those that stall keep what they have, others go on with small buffers.
const (
	smallReceiveBuffer = 128 << 10 // the window takes one super-segment
	largeReceiveBuffer = 2 << 20
	smallSendBuffer    = 64 << 10
	largeSendBuffer    = 2 << 20 // so that a client finds much to read whenever it wakes

	growAfter    = 256 << 10
	bufferBudget = 256 << 20
)

// budget is memory that several draw on.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) giveBack(n int64) { b.left.Add(n) }

// noteMoved notes that n bytes have gone through the half, and may let its buffer grow.
func (h *half) noteMoved(n int) {
	f := h.flow
	h.bytes += uint64(n)
	if !f.moved.Load() {
		f.moved.Store(true)
	}
	if h.carried >= growAfter {
		return
	}
	h.carried += n
	switch {
	case h.carried < growAfter:
	case f.stack.buffers.take(h.price()):
		h.large.Store(true)
		h.setBuffer(h.largeBuffer())
	default:
		h.carried = 0 // ask again later
	}
}

// shrink gives a large buffer back, if it is empty.
func (h *half) shrink() {
	h.carried = 0
	if !h.large.Load() {
		return
	}
	h.setBuffer(h.smallBuffer())
	if h.holds() {
		h.setBuffer(h.largeBuffer())
		return
	}
	h.giveBufferBack()
}

// giveBufferBack is also for a half that ends.
func (h *half) giveBufferBack() {
	if h.large.Load() {
		h.large.Store(false)
		h.bulk.Store(false)
		h.flow.stack.buffers.giveBack(h.price())
	}
}

// holds reports whether the buffer, which is small, has much in it.
func (h *half) holds() bool {
	if h.inbound() {
		return h.flow.ep.Readiness(waiter.WritableEvents) == 0
	}
	n, _ := h.flow.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	return n > 0
}

func (h *half) inbound() bool { return h == &h.flow.inbound }

func (h *half) largeBuffer() int64 {
	if h.inbound() {
		return largeSendBuffer
	}
	return largeReceiveBuffer
}

// price is what a large buffer takes from the budget. An inbound half that cannot send keeps a read buffer, too.
func (h *half) price() int64 {
	if h.inbound() {
		return largeSendBuffer + int64(len(readBuffer{}))
	}
	return largeReceiveBuffer
}

func (h *half) smallBuffer() int64 {
	if h.inbound() {
		return smallSendBuffer
	}
	return smallReceiveBuffer
}

func (h *half) setBuffer(size int64) {
	options := h.flow.ep.SocketOptions()
	if h.inbound() {
		options.SetSendBufferSize(size, true)
		return
	}
	options.SetReceiveBufferSize(size, true)
}
