//go:build linux

package sched

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watcher owns a descriptor that a [Poller] watches.
type Watcher interface {
	// Ready gets the descriptor's new epoll events (EPOLLIN, …; see epoll_ctl(2)). The poller's
	// goroutine calls it; it must not block. It is called at most once more after [Poller.Remove].
	Ready(events uint32)
}

// Watch ties a descriptor to its Watcher. The owner embeds it, so that watching allocates nothing.
// A Watch is for one descriptor at a time.
type Watch struct {
	watcher Watcher
	events  uint32
	epoch   uint32 // distinguishes the present use of the descriptor's number from earlier ones
}

// Poller waits for any number of sockets in one goroutine. Go's runtime watches the epoll
// descriptor itself, so an idle poller is a parked goroutine, not a blocked thread.
//
// A socket is registered once, edge-triggered: an event says "something is new", and its Watcher
// works until the kernel says EAGAIN. Descriptor numbers are reused at once, so an event that was
// fetched before a close could reach the number's next owner; each registration therefore has an
// epoch, which the kernel returns with the event.
type Poller struct {
	file  *os.File
	raw   syscall.RawConn
	epfd  int
	epoch atomic.Uint32
	slots []atomic.Pointer[Watch] // by descriptor
	busy  *BusyPoll
}

// maxDescriptors bounds the slot table (8 bytes each) where the limit is "unlimited".
const maxDescriptors = 1 << 20

// NewPoller returns a poller for as many descriptors as the process may open now.
func NewPoller(busy *BusyPoll) (*Poller, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read descriptor limit: %w", err)
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // os.NewFile then gives it to the runtime
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	p := &Poller{
		file: os.NewFile(uintptr(epfd), "epoll"), epfd: epfd, busy: busy,
		slots: make([]atomic.Pointer[Watch], min(limit.Cur, maxDescriptors)),
	}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return p, nil
}

// Add begins to watch fd for events, a set of EPOLLIN and the like; errors are always in it. It may
// be called from any goroutine.
func (p *Poller) Add(fd int, w *Watch, watcher Watcher, events uint32) error {
	if fd >= len(p.slots) {
		return unix.EMFILE
	}
	w.watcher, w.events, w.epoch = watcher, events|unix.EPOLLET, p.epoch.Add(1)
	p.slots[fd].Store(w)
	if err := p.control(unix.EPOLL_CTL_ADD, fd, w); err != nil {
		p.slots[fd].Store(nil)
		return err
	}
	return nil
}

// Hand gives a watched descriptor to another Watcher, which gets the present events.
func (p *Poller) Hand(fd int, w *Watch, watcher Watcher, events uint32) error {
	w.watcher, w.events, w.epoch = watcher, events|unix.EPOLLET, p.epoch.Add(1)
	p.slots[fd].Store(w)
	return p.control(unix.EPOLL_CTL_MOD, fd, w)
}

// Rearm delivers the present events of fd again, if its Watcher has left some for later.
func (p *Poller) Rearm(fd int) {
	if w := p.slots[fd].Load(); w != nil {
		_ = p.control(unix.EPOLL_CTL_MOD, fd, w) // fails only for a socket that is closed
	}
}

func (p *Poller) control(op, fd int, w *Watch) error {
	return unix.EpollCtl(p.epfd, op, fd, &unix.EpollEvent{
		Events: w.events, Fd: int32(fd), Pad: int32(w.epoch), // the kernel returns Fd and Pad as they are
	})
}

// Remove ends the watch. The caller closes fd next, which removes it from the kernel's set.
func (p *Poller) Remove(fd int) {
	if fd < len(p.slots) {
		p.slots[fd].Store(nil)
	}
}

// Run delivers events until Close.
func (p *Poller) Run() {
	var batch [128]unix.EpollEvent
	y := p.busy.sched.NewYielder()
	defer y.Close()
	_ = p.raw.Read(func(uintptr) bool { // its only error says that the file was closed
		for {
			n, errno := p.fetch(batch[:])
			switch {
			case errno == unix.EINTR:
				continue
			case errno == 0 && n == 0 && p.busy.again():
				y.Yield()
				continue
			case errno != 0, n == 0:
				return false
			}
			p.busy.Traffic()
			for _, ev := range batch[:n] {
				if w := p.slots[ev.Fd].Load(); w != nil && w.epoch == uint32(ev.Pad) {
					w.watcher.Ready(ev.Events)
				}
			}
		}
	})
}

// fetch returns the present events. The call does not block, so the runtime needs no notice of it.
func (p *Poller) fetch(batch []unix.EpollEvent) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd),
		uintptr(unsafe.Pointer(&batch[0])), uintptr(len(batch)), 0, 0, 0)
	return int(n), errno
}

// Close ends Run. The caller must have removed all descriptors, unless the process ends with the
// poller.
func (p *Poller) Close() error { return p.file.Close() }
