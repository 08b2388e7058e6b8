package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	wgtun "golang.zx2c4.com/wireguard/tun"

	"syntap/tun/packet"
	"syntap/tun/raw"
)

// Device is a Linux TUN interface, or one queue of several. wireguard/tun sets its offloads, names
// and closes it. Device itself calls readv and writev, virtio header included, because wireguard's
// Read and Write cut super-segments into packets.
type Device struct {
	dev  wgtun.Device
	name string
	mtu  int

	raw  syscall.RawConn
	read frameReader
	upTo readUpTo

	fdMu  sync.RWMutex // read-locked during writev, so that Close cannot free the descriptor
	fd    int          // -1 once closed
	stats Stats

	others []*Device // further queues of the interface
}

var (
	_ Link         = (*Device)(nil)
	_ IdleNotifier = (*Device)(nil)
)

// fromFile opens one queue; see FromFiles.
func fromFile(f *os.File, mtu int) (*Device, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate TUN descriptor: %w", err)
	}
	dev, _, err := wgtun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("take over TUN descriptor: %w", err)
	}
	return newDevice(dev, mtu)
}

func newDevice(dev wgtun.Device, mtu int) (*Device, error) {
	name, err := dev.Name()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("name TUN interface: %w", err), dev.Close())
	}
	raw, err := dev.File().SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open TUN descriptor: %w", err), dev.Close())
	}
	d := &Device{dev: dev, name: name, mtu: mtu, raw: raw, fd: -1}
	if err := raw.Control(func(fd uintptr) { d.fd = int(fd) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open TUN descriptor: %w", err), dev.Close())
	}
	d.read.attempt, d.read.idle = d.read.readv, func() {}
	return d, nil
}

// Name is the interface's name.
func (d *Device) Name() string { return d.name }

// MTU is the interface's MTU in bytes.
func (d *Device) MTU() int { return d.mtu }

// Stats returns the counters of all queues as they are now.
func (d *Device) Stats() *Stats {
	s := new(Stats)
	s.add(&d.stats)
	for _, o := range d.others {
		s.add(&o.stats)
	}
	return s
}

// frameReader is one readv on the descriptor, kept between calls so that reading allocates nothing.
type frameReader struct {
	attempt func(fd uintptr) bool // readv as a value made once
	hdr     [virtioHdrLen]byte
	idle    func() // called before waiting
	waiting atomic.Bool
	emptied atomic.Uint64 // times that it found nothing
	iov     [3]unix.Iovec
	n       int
	errno   syscall.Errno
}

// readv reports whether the read is over; false waits for the descriptor to become readable. The
// call is raw because the descriptor never blocks: the runtime needs no notice of a call that takes
// microseconds.
func (r *frameReader) readv(fd uintptr) bool {
	if r.waiting.Load() {
		r.waiting.Store(false) // before the read: see Idle
	}
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READV,
			fd, uintptr(unsafe.Pointer(&r.iov[0])), uintptr(len(r.iov)))
		switch errno {
		case unix.EAGAIN:
			r.idle()
			r.waiting.Store(true)
			r.emptied.Add(1)
			return false
		case unix.EINTR:
			continue
		}
		r.n, r.errno = int(n), errno
		return true
	}
}

// ReadFrame implements Link. Malformed frames are counted and left out.
func (d *Device) ReadFrame(f *Frame) error {
	r, head, body := &d.read, f.Head, f.Body
	r.iov[0].Base, r.iov[1].Base, r.iov[2].Base = &r.hdr[0], &head[0], &body[0]
	r.iov[0].SetLen(len(r.hdr))
	r.iov[1].SetLen(len(head))
	r.iov[2].SetLen(len(body))
	for {
		if err := d.raw.Read(r.attempt); err != nil {
			return os.ErrClosed // the only error of RawConn.Read on a file without deadline
		}
		if r.errno != 0 {
			return fmt.Errorf("read TUN interface %s: %w", d.name, r.errno)
		}
		f.Head, f.Body = head, body
		f.Fill(r.n-virtioHdrLen, decodeVirtio(r.hdr[:]))
		if f.Headers.Problem == packet.Malformed || !f.Offload.fits(&f.Headers) {
			d.stats.Malformed.Add(1)
			continue
		}
		d.stats.OutboundFrames.Add(1)
		d.stats.OutboundBytes.Add(uint64(f.Len()))
		return nil
	}
}

// NotifyIdle implements IdleNotifier.
func (d *Device) NotifyIdle(f func()) bool {
	d.read.idle = f
	return true
}

// Idle implements IdleNotifier, of this queue. A frame that was taken from the interface before it
// was found empty here had its reader note before that it waits no longer.
func (d *Device) Idle() bool {
	d.fdMu.RLock()
	defer d.fdMu.RUnlock()
	if d.fd < 0 {
		return true
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 0 && d.read.waiting.Load()
}

// readUpTo is the state of ReadUpTo: two times, and the reader's counts at the later one.
type readUpTo struct {
	mu              sync.Mutex
	done, next      time.Time
	emptied, frames uint64
}

// longestQueue is the number of frames that wait in a queue at most, see package route.
const longestQueue = 10_000

// ReadUpTo implements IdleNotifier, of this queue.
func (d *Device) ReadUpTo() time.Time {
	now := time.Now()
	if d.Idle() {
		return now
	}
	u := &d.upTo
	u.mu.Lock()
	defer u.mu.Unlock()
	emptied, frames := d.read.emptied.Load(), d.stats.OutboundFrames.Load()
	if u.next.IsZero() || emptied != u.emptied || frames-u.frames > longestQueue {
		u.done, u.next, u.emptied, u.frames = u.next, now, emptied, frames
	}
	return u.done
}

// usualIovecs covers nearly every frame: netstack's large ones have three pieces. More cost an
// allocation.
const usualIovecs = 32

// WriteFrame implements Link. A TUN takes a frame whole or not at all and does not block.
func (d *Device) WriteFrame(off Offload, bufs [][]byte) error {
	var hdr [virtioHdrLen]byte
	off.encodeVirtio(hdr[:])
	var usual [usualIovecs]unix.Iovec
	iov := usual[:]
	if len(bufs) >= len(iov) {
		iov = make([]unix.Iovec, len(bufs)+1)
	}
	iov[0].Base = &hdr[0]
	iov[0].SetLen(len(hdr))
	count, size := 1, 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		iov[count].Base = &b[0]
		iov[count].SetLen(len(b))
		count++
		size += len(b)
	}
	if errno := d.writev(iov[:count]); errno != 0 {
		d.stats.WriteErrors.Add(1)
		return fmt.Errorf("write TUN interface %s: %w", d.name, errno)
	}
	d.stats.InboundFrames.Add(1)
	d.stats.InboundBytes.Add(uint64(size))
	return nil
}

func (d *Device) writev(iov []unix.Iovec) syscall.Errno {
	d.fdMu.RLock()
	defer d.fdMu.RUnlock()
	if d.fd < 0 {
		return unix.EBADF
	}
	_, errno := raw.Writev(d.fd, iov)
	return errno
}

// Close removes the interface, unless it is persistent, and ends ReadFrame and WriteFrame of all
// queues. That of a further queue closes it alone.
func (d *Device) Close() error {
	d.fdMu.Lock()
	closed := d.fd < 0
	d.fd = -1
	d.fdMu.Unlock()
	var err error
	if !closed {
		err = d.dev.Close()
	}
	for _, o := range d.others {
		err = errors.Join(err, o.Close())
	}
	return err
}
