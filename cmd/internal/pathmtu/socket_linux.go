package pathmtu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
)

// conn is a TCP connection to the far end whose kernel state can be read.
type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	options int // bytes of TCP options in each segment
	first   *unix.TCPInfo
	headers int
}

// highestMSS is the highest value of TCP_MAXSEG, MAX_TCP_WINDOW.
const highestMSS = 32767

// mostDials is the number of connections that are tried for one: with 10 % loss each way four in a
// row do not open once in a thousand times.
const mostDials = 4

// connect opens a connection that announces the MSS given; 0 = the kernel's. Packets have DF. Where
// it takes longer than two round trips a packet may be lost, which the kernel sends again after a
// second: others are tried beside it.
func (t *target) connect(ctx context.Context, mss int) (*conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	type dialled struct {
		c   *conn
		err error
	}
	results := make(chan dialled)
	dialling := 0
	dial := func() {
		dialling++
		go func() { c, err := t.dial(ctx, mss); results <- dialled{c, err} }()
	}
	dial()
	defer func() {
		cancel()
		for ; dialling > 0; dialling-- {
			if late := <-results; late.c != nil {
				late.c.Close()
			}
		}
	}()
	again := time.NewTicker(t.opensWithin())
	defer again.Stop()
	for tries := 1; ; {
		select {
		case first := <-results:
			if dialling--; first.err == nil || dialling == 0 {
				return first.c, first.err
			}
		case <-again.C:
			if tries < mostDials {
				tries++
				dial()
			}
		}
	}
}

// opensWithin is the time in which a connection opens, if nothing is lost.
func (t *target) opensWithin() time.Duration {
	if rtt := t.roundTrip(); rtt > 0 {
		return 2*rtt + 100*time.Millisecond
	}
	return 300 * time.Millisecond
}

// dial is connect for a single connection.
func (t *target) dial(ctx context.Context, mss int) (*conn, error) {
	if mss > highestMSS { // as of loopback
		mss = 0
	}
	plain, err := t.open(ctx, mss)
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: plain, headers: headers(t.address.Addr())}
	_ = c.SetLinger(0) // leave no TIME_WAIT here and no unfinished request there
	if c.raw, err = c.SyscallConn(); err == nil {
		c.first, err = c.info()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	if c.first.Options&tcpiOptTimestamps != 0 {
		c.options = 12
	}
	t.connected(c)
	return c, nil
}

// open connects a socket whose packets have DF, and which announces the MSS given if it is not 0.
func (t *target) open(ctx context.Context, mss int) (*net.TCPConn, error) {
	to := t.address.Addr()
	level, option := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER
	if to.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER
	}
	fd, err := t.socket()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close() // FileConn duplicates it
	if err = unix.SetsockoptInt(fd, level, option, unix.IP_PMTUDISC_DO); err == nil && mss != 0 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, mss)
	}
	if err != nil {
		return nil, fmt.Errorf("set size of segments: %w", err)
	}
	if errno := dial.Connect(fd, t.address); errno != 0 && errno != unix.EINPROGRESS {
		return nil, fmt.Errorf("connect to %v: %w", t.address, errno)
	}
	if err := connected(ctx, fd); err != nil {
		return nil, fmt.Errorf("connect to %v: %w", t.address, err)
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("connect to %v: %w", t.address, err)
	}
	return c.(*net.TCPConn), nil
}

// connected waits for the end of a handshake.
func connected(ctx context.Context, fd int) error {
	const turn = 10 // ms, between looks at ctx
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(p, turn)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case n > 0:
			if errno := dial.ConnectErrno(fd); errno != 0 {
				return errno
			}
			return nil
		case err != nil && !errors.Is(err, unix.EINTR):
			return err
		}
	}
}

// newSocket returns a TCP socket that does not block, towards an address.
func newSocket(to netip.Addr) (int, error) {
	family := unix.AF_INET
	if to.Is6() {
		family = unix.AF_INET6
	}
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// tcpiOptTimestamps is TCPI_OPT_TIMESTAMPS.
const tcpiOptTimestamps = 1

// largest returns the size of the largest packet that the kernel makes for this connection.
func (c *conn) largest(info *unix.TCPInfo) int {
	return int(info.Snd_mss) + c.options + c.headers
}

// payload returns the bytes of payload in a packet of a size.
func (c *conn) payload(size int) int { return size - c.options - c.headers }

// info reads TCP_INFO.
func (c *conn) info() (info *unix.TCPInfo, err error) {
	controlErr := c.raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err == nil {
		err = controlErr
	}
	return info, err
}

// send writes bytes as a segment of their own: MSG_EOR keeps the kernel from joining it with
// others.
func (c *conn) send(b []byte) error {
	var err error
	writeErr := c.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), b, unix.MSG_EOR|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, nil)
		return err != unix.EAGAIN
	})
	if err == nil {
		err = writeErr
	}
	return err
}

// rto returns the time after which Linux first retransmits: RFC 6298 with a minimum of 200 ms.
func rto(rtt time.Duration) time.Duration {
	return rtt + max(200*time.Millisecond, 2*rtt)
}

// pollInterval is the time between two looks at TCP_INFO.
const pollInterval = 5 * time.Millisecond

// pause waits for the next look; false when the context has ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pollInterval):
		return true
	}
}
