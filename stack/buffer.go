//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/netstack"
)

// Buffers of one connection in netstack, in bytes. A receive buffer is twice the window that it
// lets the client see, and counts memory, not payload.
//
// A flow begins with small buffers. A half that has moved growAfter bytes gets a large one, as long
// as memory has room for it, and gives it back when it is quiet and has nothing left in it. Where
// memory is scarce the flow is tightened then (weigh.go).
const (
	tightReceiveBuffer = 4 << 10
	tightSendBuffer    = 2 << 10
	smallReceiveBuffer = 128 << 10 // the window takes one super-segment
	largeReceiveBuffer = 2 << 20
	smallSendBuffer    = 64 << 10
	largeSendBuffer    = 2 << 20 // so that a client finds much to read whenever it wakes

	growAfter = 256 << 10
)

// netstackBuffers are these sizes as netstack is to know them.
func netstackBuffers() netstack.Buffers {
	return netstack.Buffers{
		Receive: netstack.Range{Min: tightReceiveBuffer, Default: smallReceiveBuffer, Max: largeReceiveBuffer},
		Send:    netstack.Range{Min: tightSendBuffer, Default: smallSendBuffer, Max: largeSendBuffer},
	}
}

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
	case f.tight.Load():
		if h.carried >= tightMoved {
			f.loosen()
			h.carried = 0
		}
	case h.carried < growAfter:
	case f.payer.lend(h.price(), 2):
		h.large.Store(true)
		h.setBuffer(h.largeBuffer())
		f.resizeBuffers()
	default:
		h.carried = 0 // ask again later
	}
}

// shrink gives a large buffer back, if it is empty.
func (h *half) shrink() {
	h.carried = 0
	if !h.large.Load() {
		h.flow.tighten()
		return
	}
	h.setBuffer(h.smallBuffer())
	if h.holds() {
		h.setBuffer(h.largeBuffer())
		return
	}
	h.giveBufferBack()
	h.Rest()
	h.flow.tighten()
}

// giveBufferBack is also for a half that ends.
func (h *half) giveBufferBack() {
	if h.large.Load() {
		h.large.Store(false)
		h.flow.payer.takeBack(h.price())
	}
}

// holds reports whether the buffer, which is small, has much in it.
func (h *half) holds() bool {
	if h.inbound() {
		return h.flow.ep.Readiness(waiter.WritableEvents) == 0
	}
	return netstack.ReceiveMemory(h.flow.ep) > 0
}

func (h *half) inbound() bool { return h == &h.flow.inbound }

func (h *half) largeBuffer() int64 {
	if h.inbound() {
		return largeSendBuffer
	}
	return largeReceiveBuffer
}

// price is what a large buffer takes from the budget. An inbound half that cannot send keeps a read
// buffer, too.
func (h *half) price() int64 {
	if h.inbound() {
		return largeSendBuffer + int64(len(readBuffer{}))
	}
	return largeReceiveBuffer
}

// smallBuffer is what the half has when it has no large one.
func (h *half) smallBuffer() int64 {
	switch tight := h.flow.tight.Load(); {
	case h.inbound() && tight:
		return tightSendBuffer
	case h.inbound():
		return smallSendBuffer
	case tight:
		return tightReceiveBuffer
	}
	return smallReceiveBuffer
}

func (h *half) bufferSize() int64 {
	if h.large.Load() {
		return h.largeBuffer()
	}
	return h.smallBuffer()
}

func (h *half) setBuffer(size int64) {
	options := h.flow.ep.SocketOptions()
	if h.inbound() {
		options.SetSendBufferSize(size, true)
		return
	}
	options.SetReceiveBufferSize(size, true)
}
