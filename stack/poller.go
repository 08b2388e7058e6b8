//go:build linux

package stack

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollee owns a socket that the poller watches.
type pollee interface {
	// ready is called by the poller's goroutine with the socket's new epoll events.
	ready(events uint32, w *worker)
}

// watch ties a descriptor to its pollee. It is embedded in the pollee, so that watching allocates
// nothing.
type watch struct {
	owner pollee
	epoch uint32 // tells the descriptor's present use from an earlier one
}

// poller waits for all host sockets in one goroutine. The epoll descriptor itself is watched by
// Go's runtime, so an idle poller is a parked goroutine, not a blocked thread.
//
// Sockets are registered once, edge-triggered, for everything: an event says "something is new",
// and its owner works until the kernel says EAGAIN.
type poller struct {
	file  *os.File
	raw   syscall.RawConn
	epfd  int
	epoch atomic.Uint32
	slots []atomic.Pointer[watch] // by descriptor

	spinner *spinner // that is to know of traffic; nil = none
}

func newPoller() (*poller, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read descriptor limit: %w", err)
	}
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // makes os.NewFile hand it to the runtime's poller
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	p := &poller{
		file:  os.NewFile(uintptr(epfd), "epoll"),
		epfd:  epfd,
		slots: make([]atomic.Pointer[watch], min(limit.Cur, maxDescriptors)),
	}
	p.raw, err = p.file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return p, nil
}

// maxDescriptors bounds the slot table (8 bytes each) where the limit is "unlimited".
const maxDescriptors = 1 << 20

// Events to watch for; errors always are. A UDP socket is writable anew with each datagram that has
// left: that is no news.
const (
	streamEvents   = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	datagramEvents = unix.EPOLLIN | unix.EPOLLET
)

// add begins to watch fd for w.owner.
func (p *poller) add(fd int, w *watch, events uint32) error {
	if fd >= len(p.slots) {
		return unix.EMFILE
	}
	w.epoch = p.epoch.Add(1)
	p.slots[fd].Store(w)
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(w.epoch)}
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		p.slots[fd].Store(nil)
		return err
	}
	return nil
}

// again has the events of fd delivered that its owner has left for later.
func (p *poller) again(fd int, w *watch, events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(w.epoch)}
	_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_MOD, fd, &ev) // fails only for a socket that is closed
}

// remove ends the watch; the caller closes fd next, which takes it out of the kernel's set. An
// event fetched before may still be delivered.
func (p *poller) remove(fd int) {
	if fd < len(p.slots) {
		p.slots[fd].Store(nil)
	}
}

// run delivers events until the poller is closed.
func (p *poller) run(w *worker) {
	var events [128]unix.EpollEvent
	_ = p.raw.Read(func(uintptr) bool { // its only error says that the file was closed
		for {
			n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
			if errno == unix.EINTR {
				continue
			}
			if errno != 0 || n == 0 {
				return false
			}
			p.spinner.noted()
			for _, ev := range events[:n] {
				if watch := p.slots[ev.Fd].Load(); watch != nil && watch.epoch == uint32(ev.Pad) {
					watch.owner.ready(ev.Events, w)
				}
			}
		}
	})
}

func (p *poller) close() error { return p.file.Close() }
