//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/netstack"
)

// Buffers of one connection in netstack, in bytes. A receive buffer is twice the window that it
// lets the client see, and counts memory, not payload.
//
// A connection begins with small buffers. A direction that has moved growAfter bytes gets a large
// one if there is memory for it, and gives it back when it is quiet and empty. If memory is scarce,
// the connection is tightened then (weigh.go).
const (
	tightReceiveBuffer = 4 << 10
	tightSendBuffer    = 1 << 10
	smallReceiveBuffer = 128 << 10 // the window takes one super-segment
	largeReceiveBuffer = 2 << 20
	smallSendBuffer    = 64 << 10
	largeSendBuffer    = 2 << 20 // so that a client finds much to read whenever it wakes

	growAfter = 256 << 10
)

// maxChunk is the longest write to netstack, in bytes: netstack puts 65374 into a segment, and a
// piece of its memory holds 65536.
const maxChunk = 65320

// maxRead is the memory of one read from a host socket, in bytes: eight segments as long as
// netstack makes them.
const maxRead = 8 * maxChunk

// netstackBuffers returns these sizes for netstack.
func netstackBuffers() netstack.Buffers {
	return netstack.Buffers{
		Receive: tcpip.TCPReceiveBufferSizeRangeOption{
			Min: tightReceiveBuffer, Default: smallReceiveBuffer, Max: largeReceiveBuffer,
		},
		Send: tcpip.TCPSendBufferSizeRangeOption{
			Min: tightSendBuffer, Default: smallSendBuffer, Max: largeSendBuffer,
		},
	}
}

// noteMoved counts n bytes that the direction has moved, and may enlarge its buffer.
func (d *direction) noteMoved(n int) {
	f := d.conn
	d.bytes += uint64(n)
	if f.moved.Load() != movedForAll {
		f.moved.Store(movedForAll)
	}
	d.carried = int32(min(int(d.carried)+n, growAfter))
	switch {
	case f.memory.tight.Load():
		if d.carried >= tightMoved && (d.carried >= readMoved || !f.memory.payer.Cramped()) {
			f.loosen()
			d.carried = 0
		}
	case d.carried < growAfter:
	case d.large.Load():
		d.carried = 0
		f.fitMoving()
	case f.memory.payer.Lend(d.price(), 2):
		d.carried = 0
		f.memory.sizing.Lock()
		d.large.Store(true)
		d.setBuffer(d.largeBuffer())
		f.memory.sizing.Unlock()
		f.fitMoving()
	default:
		d.carried = 0 // ask again later
	}
}

// shrink gives a large buffer back, if it is empty.
func (d *direction) shrink() {
	d.carried = 0
	if !d.large.Load() {
		d.conn.tighten()
		return
	}
	if d.leaveLarge() {
		d.Rest()
		d.conn.tighten()
	}
}

// leaveLarge gives a large buffer back unless a small one has too little room for what it holds.
func (d *direction) leaveLarge() bool {
	d.conn.memory.sizing.Lock()
	defer d.conn.memory.sizing.Unlock()
	d.setBuffer(d.smallBuffer())
	if d.holds() {
		d.setBuffer(d.largeBuffer())
		return false
	}
	d.giveBufferBack()
	return true
}

// giveBufferBack gives a large buffer back, empty or not. A direction that ends calls it, too.
func (d *direction) giveBufferBack() {
	if d.large.Load() {
		d.large.Store(false)
		d.conn.memory.payer.TakeBack(d.price())
	}
}

// holds reports whether a small buffer has much in it.
func (d *direction) holds() bool {
	if d.inbound() {
		return d.conn.ep.Readiness(waiter.WritableEvents) == 0
	}
	return netstack.ReceiveMemory(d.conn.ep) > 0
}

func (d *direction) inbound() bool { return d == &d.conn.inbound }

func (d *direction) largeBuffer() int64 {
	if d.inbound() {
		return largeSendBuffer
	}
	return largeReceiveBuffer
}

// price is a large buffer's charge to the budget. An inbound direction that cannot send keeps a
// read buffer, too.
func (d *direction) price() int64 {
	if d.inbound() {
		return largeSendBuffer + maxRead
	}
	return largeReceiveBuffer
}

// smallBuffer is the direction's size without a large buffer.
func (d *direction) smallBuffer() int64 {
	switch tight := d.conn.memory.tight.Load(); {
	case d.inbound() && tight:
		return tightSendBuffer
	case d.inbound():
		return smallSendBuffer
	case tight:
		return tightReceiveBuffer
	}
	return smallReceiveBuffer
}

func (d *direction) bufferSize() int64 {
	if d.large.Load() {
		return d.largeBuffer()
	}
	return d.smallBuffer()
}

func (d *direction) setBuffer(size int64) {
	options := d.conn.ep.SocketOptions()
	if d.inbound() {
		netstack.SetSendBuffer(options, size)
		return
	}
	options.SetReceiveBufferSize(size, true)
	if size < smallReceiveBuffer && d.holdsMore(size) {
		options.SetReceiveBufferSize(smallReceiveBuffer, true)
	}
}

// holdsMore reports whether netstack holds more bytes of memory after a gap. In a receive buffer of
// that size it would drop those that are missing, however often the client sends them.
func (d *direction) holdsMore(size int64) bool {
	if netstack.ReceiveMemory(d.conn.ep) <= size {
		return false
	}
	at, ok := netstack.ProgressOf(d.conn.ep)
	return ok && int64(at.AfterGap) > size
}
