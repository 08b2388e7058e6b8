package ring

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// Sizes are those of the rings in bytes, powers of two, and of the messages that wait where they
// are full.
type Sizes struct {
	ToKeeper, FromKeeper int // of rings: from the process that opens an End, and to it
	Waiting              int // bytes that wait for room at each end; 0 = none do
}

// End is one end of two rings. Send and Post may be called from any goroutine, Receive from one.
type End struct {
	memory []byte
	bell   *os.File // of a socket pair
	fd     int      // of bell
	limit  int      // bytes of messages that may wait

	late atomic.Bool // a bell is to come, for messages that have rung none

	mu      sync.Mutex // guards the five below, and keeps memory and bell while one sends
	closed  bool
	out     writer
	waiting [][]byte // for room, in order
	bytes   int      // of them
	err     error    // the other end has lied

	in              reader
	begun, finished atomic.Uint64 // rounds of Receive, each with its rest
	blocked         atomic.Bool   // the other end has waited for room

	serving sync.Mutex // held by Receive

	// Of sleep.
	waits  syscall.RawConn // of bell
	listen func(fd uintptr) bool
	bells  [256]byte
	heard  error
}

// Files are those that another process opens an End from. They are the caller's, to be closed when
// they were passed on.
type Files struct{ Memory, Bell *os.File }

// Close closes both.
func (f *Files) Close() error { return errors.Join(f.Memory.Close(), f.Bell.Close()) }

// New returns the end of this process, and the files of the other.
func New(s Sizes) (*End, *Files, error) {
	memory, err := newMemory(2*bytesAt + s.ToKeeper + s.FromKeeper)
	if err != nil {
		return nil, nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = memory.Close()
		return nil, nil, fmt.Errorf("make a bell: %w", err)
	}
	there := &Files{memory, os.NewFile(uintptr(pair[1]), "bell")}
	e, err := newEnd(memory, pair[0], s)
	if err != nil {
		return nil, nil, errors.Join(err, unix.Close(pair[0]), there.Close())
	}
	e.in.words, e.out.words = e.out.words, e.in.words
	return e, there, nil
}

// Open returns the end of a process that has got the files, which it takes over.
func Open(f *Files, s Sizes) (*End, error) {
	defer f.Close()
	bell, err := unix.FcntlInt(f.Bell.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a bell: %w", err)
	}
	e, err := newEnd(f.Memory, bell, s)
	if err != nil {
		return nil, errors.Join(err, unix.Close(bell))
	}
	return e, nil
}

// newMemory returns memory that keeps its size.
func newMemory(size int) (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("ring", flags|unix.MFD_NOEXEC_SEAL) // the only one under vm.memfd_noexec=2
	if errors.Is(err, unix.EINVAL) {                                // before Linux 6.3
		fd, err = unix.MemfdCreate("ring", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("make memory for two processes: %w", err)
	}
	f := os.NewFile(uintptr(fd), "ring")
	if err := f.Truncate(int64(size)); err != nil {
		return nil, errors.Join(fmt.Errorf("make memory for two processes: %w", err), f.Close())
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, errors.Join(fmt.Errorf("seal memory for two processes: %w", err), f.Close())
	}
	return f, nil
}

// newEnd returns the end of the process that sends by the first ring.
func newEnd(f *os.File, bell int, s Sizes) (*End, error) {
	size := 2*bytesAt + s.ToKeeper + s.FromKeeper
	memory, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map memory of two processes: %w", err)
	}
	if err := unix.SetNonblock(bell, true); err != nil {
		return nil, errors.Join(fmt.Errorf("open a bell: %w", err), unix.Munmap(memory))
	}
	first, second := memory[:bytesAt+s.ToKeeper], memory[bytesAt+s.ToKeeper:]
	e := &End{
		memory: memory, bell: os.NewFile(uintptr(bell), "bell"), fd: bell, limit: s.Waiting,
		out: writer{words: newWords(first)}, in: reader{words: newWords(second)},
	}
	e.listen = e.hear
	e.waits, err = e.bell.SyscallConn() // fails only where it is closed
	return e, err
}

// Send sends a message of 1 to MaxMessage bytes, behind those sent before. It never blocks, and
// reports whether there was room for it, in the ring or among those that wait.
func (e *End) Send(m []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	ok, fits := e.put(m)
	if fits {
		e.wake()
	}
	return ok
}

// lazy is how long a message of SendLater waits for others, to be read together.
const lazy = 20 * time.Millisecond

// SendLater sends a message for which the reader need not wake up at once.
func (e *End) SendLater(m []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	ok, fits := e.put(m)
	if fits && e.late.CompareAndSwap(false, true) {
		time.AfterFunc(lazy, func() { e.Ring() })
	}
	return ok
}

// Note sends a message that the reader takes with the next one, or when it looks. It goes into the
// ring or not at all, so that a look at the ring that begins later finds it.
func (e *End) Note(m []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.err != nil || len(e.waiting) > 0 {
		return false
	}
	var ok bool
	if ok, e.err = e.out.put(m); !ok || e.out.isHalfFull() {
		e.wake()
	}
	return ok
}

// Ring wakes the reader up for messages of SendLater, and reports whether it had yet to be.
func (e *End) Ring() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.late.CompareAndSwap(true, false) {
		return false
	}
	if !e.closed {
		e.wake()
	}
	return true
}

// put reports whether there was room for a message, and whether that was in the ring. mu is held.
func (e *End) put(m []byte) (ok, fits bool) {
	if e.closed || e.err != nil {
		return false, false
	}
	if len(e.waiting) == 0 && e.fits(m) {
		return true, true
	}
	if e.err != nil || e.bytes+len(m) > e.limit {
		return false, false
	}
	e.waiting = append(e.waiting, append([]byte(nil), m...))
	e.bytes += len(m)
	return true, false
}

// fits puts a message into the ring, or has the reader tell when there is room. mu is held.
func (e *End) fits(m []byte) (ok bool) {
	if ok, e.err = e.out.put(m); ok || e.err != nil {
		return ok
	}
	e.out.blocked.Store(1)
	if ok, e.err = e.out.put(m); ok {
		e.out.blocked.Store(0)
	}
	return ok
}

// flush puts those that wait into the ring, as far as there is room.
func (e *End) flush() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return os.ErrClosed
	}
	n := 0
	for n < len(e.waiting) && e.fits(e.waiting[n]) {
		e.bytes -= len(e.waiting[n])
		e.waiting[n] = nil
		n++
	}
	if e.waiting = e.waiting[n:]; len(e.waiting) == 0 {
		e.waiting = nil
	}
	if n > 0 {
		e.wake()
	}
	return e.err
}

// Waiting returns how many bytes of messages wait for room in the ring.
func (e *End) Waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bytes
}

// wake rings the bell of the other end if that sleeps. mu is held.
func (e *End) wake() {
	if e.out.asleep.Load() == 1 && e.out.asleep.CompareAndSwap(1, 0) {
		e.ring()
	}
}

// ring rings the bell of the other end. One that is full has rung.
func (e *End) ring() {
	_, _ = raw.Send(e.fd, []byte{1}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Post puts a number on the board of this end.
func (e *End) Post(i int, n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.out.board[i].Store(n)
	}
}

// Posted returns the last number that the other end has posted; 0 = none.
func (e *End) Posted(i int) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0
	}
	return e.in.board[i].Load()
}

// Receive calls take with each message that the other end sends, valid during the call, and rest
// when it has taken all that there are. It returns io.EOF when the other process has ended, or has
// closed its end, and all its messages are taken; os.ErrClosed after Close; an error of take; and
// ErrForged.
func (e *End) Receive(take func(m []byte) error, rest func()) error {
	e.serving.Lock()
	defer e.serving.Unlock()
	if err := e.flush(); err != nil { // perhaps it is closed
		return err
	}
	ended := false
	for {
		round := e.begun.Add(1)
		n, err := e.takeAll(take)
		if err != nil {
			return err
		}
		if n > 0 {
			rest()
		}
		e.finished.Store(round)
		if n > 0 {
			runtime.Gosched() // what comes while others work on all that rings no bell
		}
		if err := e.flush(); err != nil {
			return err
		}
		if ended && n == 0 {
			return io.EOF
		}
		if ended || !e.in.sleeps() {
			continue
		}
		err = e.sleep()
		e.in.asleep.Store(0)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
			ended = true
		case errors.Is(err, os.ErrDeadlineExceeded): // of Look
			_ = e.bell.SetReadDeadline(time.Time{})
		case err != nil:
			return err
		}
	}
}

// sleep waits for a bell; io.EOF says that there will be none.
func (e *End) sleep() error {
	e.heard = nil
	return cmp.Or(e.waits.Read(e.listen), e.heard)
}

// hear reports whether sleep is over.
func (e *End) hear(fd uintptr) bool {
	n, errno := raw.Read(int(fd), e.bells[:])
	switch {
	case errno == unix.EAGAIN:
		return false
	case errno != 0:
		e.heard = errno
	case n == 0:
		e.heard = io.EOF
	}
	return true
}

// Look has Receive take all that there is by now, and rest, and returns a function that reports
// whether it has. Receive runs.
func (e *End) Look() (done func() bool) {
	before := e.begun.Load()
	_ = e.bell.SetReadDeadline(time.Unix(1, 0)) // fails only where Receive has ended
	return func() bool { return e.finished.Load() > before }
}

// Blocked reports whether the other end has waited for room since the last call.
func (e *End) Blocked() bool { return e.blocked.Swap(false) }

// takeAll takes the messages that are there, of no more bytes than the ring has, so that flush has
// its turn.
func (e *End) takeAll(take func(m []byte) error) (n int, err error) {
	for from := e.in.at; e.in.at-from < uint64(len(e.in.data)); n++ {
		m, err := e.in.take()
		if err != nil {
			return n, err
		}
		if m == nil {
			break
		}
		if err := take(m); err != nil {
			return n, err
		}
	}
	if n > 0 && e.in.done() {
		e.blocked.Store(true)
		e.ring() // the descriptor stays open while Receive runs
	}
	return n, nil
}

// Close ends Receive, from which it must not be called, and gives the memory back.
func (e *End) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	_ = unix.Shutdown(e.fd, unix.SHUT_RDWR)
	e.mu.Unlock()
	e.serving.Lock()
	defer e.serving.Unlock()
	return errors.Join(e.bell.Close(), unix.Munmap(e.memory))
}
