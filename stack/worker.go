//go:build linux

package stack

import (
	"sync"

	"golang.org/x/sys/unix"
)

// worker is the scratch memory of a goroutine that runs halves. Idle flows own no buffer.
type worker struct {
	iov    []unix.Iovec // gathered from netstack's receive queue, valid only during one step
	size   int          // bytes in iov
	buffer *readBuffer  // for reads from host sockets; nil until needed
	spare  *sync.Pool   // of buffers
	queue  *runQueue
	pause  *pause // nil: the poller's worker, which leaves to others what takes long
	tight  bool   // they are for a flow with tight buffers
	mixed  bool   // there has been something besides bulk lately
}

// readBuffer is what one read from a host socket may bring, in bytes: eight segments as long as
// netstack makes them.
type readBuffer [8 * maxChunk]byte

// smallRead is the size of a read for a flow that has small buffers, tightRead for one that has
// tight ones. tightWrite is the most that one write then brings to the host socket: the kernel
// takes a segment whole, however small the socket's buffer is.
const (
	smallRead  = 16 << 10
	tightRead  = 4 << 10
	tightWrite = 4 << 10
)

// maxTurn is how many bytes a half may move before others that move much have theirs: a client that
// gets much in one go does not fall asleep in between.
const maxTurn = 2 << 20

// readBuffer returns the memory for a read.
func (w *worker) readBuffer(f *flow) []byte {
	if w.buffer == nil {
		w.buffer = w.spare.Get().(*readBuffer)
	}
	switch {
	case f.inbound.large.Load():
		return w.buffer[:]
	case f.tight.Load():
		return w.buffer[:tightRead]
	}
	return w.buffer[:smallRead]
}

// slice is how many bytes are moved before a pause.
func (w *worker) slice() int {
	if w.mixed {
		return mixedSlice
	}
	return slice
}

// gatherBytes and gatherViews limit one writev towards the host socket.
func (w *worker) gatherBytes() int {
	switch {
	case w.tight:
		return 1 // view
	case w.mixed:
		return mixedSlice
	}
	return 512 << 10
}

const gatherViews = 256

func (s *Stack) newWorker(p *pause) *worker {
	return &worker{iov: make([]unix.Iovec, 0, gatherViews), spare: &s.readBuffers, queue: s.queue, pause: p}
}

// giveWay notes that the half has moved n bytes and reports whether it is to go on later. Uploads
// pause only when there has been something besides bulk lately: eight are a tenth faster without.
func (w *worker) giveWay(h *half, n int) bool {
	h.noteTurn(n)
	if w.pause == nil {
		return h.bulk.Load()
	}
	w.mixed = w.queue.isMixed()
	if !h.inbound() && !w.mixed {
		return false
	}
	return w.pause.moved(n, w.slice()) && w.queue.hasQuick()
}

// serve runs halves until the queue is closed and empty.
func (w *worker) serve() {
	defer w.pause.close()
	for {
		h, bulk := w.queue.pop()
		if h == nil {
			return
		}
		h.own(w)
		if bulk {
			w.queue.bulkDone()
		}
	}
}
