package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// ErrForged is the error of memory into which the other process has put bytes that no End writes.
var ErrForged = errors.New("the other process has written what is no message")

// A ring in memory: words, each in a cache line of its own, then a board, then the bytes.
const (
	writtenAt = 0   // bytes that the writer has put in since the beginning
	readAt    = 64  // bytes that the reader has taken out
	asleepAt  = 128 // 1 = the reader waits for a bell
	blockedAt = 192 // 1 = the writer waits for room
	boardAt   = 256 // of the writer
	bytesAt   = 4096
)

// boardWords is how many numbers a board has.
const boardWords = 32

// lengthBytes stand before each message, which begins at a multiple of them.
const lengthBytes = 8

// MaxMessage is the length of the longest message, in bytes, where a ring has room for it.
const MaxMessage = 512 << 10

// words are those of a ring in memory.
type words struct {
	written, read   *atomic.Uint64
	asleep, blocked *atomic.Uint32
	board           [boardWords]*atomic.Uint64
	data            []byte // the length is a power of two
}

func newWords(memory []byte) words {
	word := func(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&memory[at])) }
	flag := func(at int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&memory[at])) }
	w := words{
		written: word(writtenAt), read: word(readAt), asleep: flag(asleepAt), blocked: flag(blockedAt),
		data: memory[bytesAt:],
	}
	for i := range w.board {
		w.board[i] = word(boardAt + 8*i)
	}
	return w
}

// mask turns a count of bytes into a place.
func (w *words) mask() uint64 { return uint64(len(w.data)) - 1 }

// whole is how many bytes a message takes.
func whole(n int) uint64 { return lengthBytes + (uint64(n)+lengthBytes-1)&^(lengthBytes-1) }

// writer puts messages in.
type writer struct {
	words
	at uint64 // bytes written; the word in memory is for the reader alone
}

// put reports whether there was room.
func (w *writer) put(m []byte) (bool, error) {
	used := w.at - w.read.Load()
	if used > uint64(len(w.data)) {
		return false, fmt.Errorf("%w: it has read more than there was", ErrForged)
	}
	need := whole(len(m))
	if need > uint64(len(w.data))-used {
		return false, nil
	}
	begin := w.at & w.mask()
	binary.NativeEndian.PutUint64(w.data[begin:], uint64(len(m)))
	begin = (begin + lengthBytes) & w.mask()
	n := copy(w.data[begin:], m)
	copy(w.data, m[n:])
	w.at += need
	w.written.Store(w.at)
	return true, nil
}

// isHalfFull reports whether half of the room is used.
func (w *writer) isHalfFull() bool { return w.at-w.read.Load() > uint64(len(w.data))/2 }

// reader takes messages out.
type reader struct {
	words
	at  uint64 // bytes read
	buf []byte // the message that was taken
}

// take returns the next message, which is valid until the next call; nil where there is none.
func (r *reader) take() ([]byte, error) {
	there := r.written.Load() - r.at
	if there == 0 {
		return nil, nil
	}
	if there > uint64(len(r.data)) || there < lengthBytes || there%lengthBytes != 0 {
		return nil, fmt.Errorf("%w: %d bytes are said to be in a ring of %d", ErrForged, there, len(r.data))
	}
	begin := r.at & r.mask()
	n := (*atomic.Uint64)(unsafe.Pointer(&r.data[begin])).Load()
	if n == 0 || n > MaxMessage || whole(int(n)) > there {
		return nil, fmt.Errorf("%w: a message of %d bytes among %d", ErrForged, n, there)
	}
	begin = (begin + lengthBytes) & r.mask()
	first := min(n, uint64(len(r.data))-begin)
	r.buf = append(append(r.buf[:0], r.data[begin:begin+first]...), r.data[:n-first]...)
	r.at += whole(int(n))
	return r.buf, nil
}

// done gives the room of all that was taken back, and reports whether the writer waits for it.
func (r *reader) done() (waits bool) {
	r.read.Store(r.at)
	return r.blocked.CompareAndSwap(1, 0)
}

// sleeps says that the reader is about to wait for a bell, and reports whether it may.
func (r *reader) sleeps() bool {
	r.asleep.Store(1)
	if r.written.Load() == r.at {
		return true
	}
	r.asleep.Store(0)
	return false
}
