//go:build linux

package stack

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// dial starts a connection to the far side. The caller has set handshake.dialling, so that no other
// goroutine dials, or closes the socket.
func (c *conn) dial() {
	target, decision := c.stack.dialer.Target(c.key.client.Addr(), c.key.server)
	c.setDecision(decision)
	var err error
	switch {
	case decision.Deny:
		c.stack.denied(c.key.server.Addr())
		err = errDenied
	case c.key.server.Addr().Is4In6(): // such addresses are on no wire (RFC 4291 §2.5.5.2)
		err = unix.ENETUNREACH
	default:
		err = c.connect(target)
	}
	if err != nil {
		c.beforeAnswer(func() { c.dialled(err) })
		return
	}
	c.dialled(nil)
}

// errDenied is the error of a dial that policy forbids.
var errDenied = errors.New("destination denied by policy")

// setDecision keeps the decision of policy for the report of the dial.
func (c *conn) setDecision(d *tunflow.Decision) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if h := c.handshake; h != nil {
		h.decision = d
	}
}

// beforeAnswer calls answer when the client may learn how its dial ended.
func (c *conn) beforeAnswer(answer func()) {
	if c.stack.o.BeforeAnswer == nil {
		answer()
		return
	}
	c.stack.o.BeforeAnswer(c.name(), answer)
}

// dialled ends dial's work: the socket is connecting, or err says why not.
func (c *conn) dialled(err error) {
	c.stack.mu.Lock()
	if h := c.handshake; h != nil { // else the handshakes were quicker than dial's return
		h.dialling = false
		if err != nil || h.unwanted {
			c.dropSocket()
		}
	}
	c.stack.mu.Unlock()
	if err != nil {
		c.dialFailed(err)
	}
}

// connect opens a host socket and begins to connect it.
func (c *conn) connect(target netip.AddrPort) error {
	s := c.stack
	s.mu.Lock()
	c.upstream.remote = target
	s.mu.Unlock()
	var fd int
	var mss packet.MSS
	var err error
	for _, port := range s.dialer.SourcePorts(c.key.client.Port()) {
		fd, mss, err = c.connectFrom(port, target)
		taken := errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL)
		if port == 0 || !taken && !errors.Is(err, unix.EACCES) {
			break
		}
	}
	if fd < 0 {
		return err
	}
	up := upstream{local: dial.LocalAddr(fd), remote: target}
	s.mu.Lock()
	c.fd, c.upstream, c.mss = fd, up, mss
	s.upstreams[up] = true
	s.mu.Unlock()
	return s.poller.Add(fd, &c.watch, c, streamEvents)
}

// connectFrom starts the connection of a socket with a source port, 0 = the kernel's choice.
// Without an error it is on its way, or made; fd is -1 with one.
func (c *conn) connectFrom(port uint16, target netip.AddrPort) (fd int, mss packet.MSS, err error) {
	s := c.stack
	fd, err = s.dialer.Stream(target.Addr())
	if err != nil {
		return -1, 0, err
	}
	mss, err = s.sizeStream(fd, c.key, target.Addr())
	c.socket.Store(uint32(sizedByKernel))
	if c.payer.cramped() {
		resizeSocket(fd, sizedTightAtFirst)
		c.socket.Store(uint32(sizedTightAtFirst))
	}
	if dscp := dscpOf(c.handshake.syn); dscp != 0 {
		setDSCP(fd, target.Addr().Is6(), dscp)
	}
	client := c.key.client.Addr()
	switch keep := s.o.KeepSource; {
	case err != nil:
	case keep != nil && keep(client) && port != 0 && port == c.key.client.Port():
		err = unix.EADDRINUSE // one like the client's would keep it from connecting again
	case keep != nil && keep(client):
		err = dial.BindSource(fd, netip.AddrPortFrom(client, port))
	case port != 0:
		err = s.dialer.Bind(fd, target, port, c.key.client)
	}
	if err == nil {
		if errno := dial.Connect(fd, target); errno != 0 && errno != unix.EINPROGRESS {
			err = errno
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, 0, err
	}
	return fd, mss, nil
}

// upstream is the pair of addresses of a host socket.
type upstream struct{ local, remote netip.AddrPort }

// connected is called when the host socket is writable or has failed, and may be called again.
func (c *conn) connected() {
	s := c.stack
	s.mu.Lock()
	if c.phase.Load() != synSent || c.fd < 0 {
		s.mu.Unlock()
		return
	}
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		errno = int(unix.EBADF)
	}
	full := s.halfOpenFull(c.key.client.Addr(), c.isLocal)
	if full == nil && errno == 0 {
		if account := c.takeRoom(); account != nil {
			full = s.fullOf(account)
		}
	}
	place, syn := errno == 0 && full == nil, c.handshake.syn
	if place {
		c.resizeSocket()
		s.countHalfOpen(c, 1)
		c.phase.Store(synReceived)
		c.setDeadline(s.o.HandshakeTimeout)
	} else {
		c.dropSocket()
	}
	s.mu.Unlock()
	switch {
	case place:
		s.report(c, tunflow.Connected, 0)
		s.net.Addresses.Register(&c.lease, c.key.client.Addr(), c.key.server.Addr())
		s.paths.lowerMSS(syn, false)
		s.net.DeliverCopy(syn)
	case errno == 0:
		full.Add(1) // the client's next SYN dials again
		s.reportDropped(c.key, c.isn, unix.ENOBUFS)
	case syscall.Errno(errno) == unix.EACCES: // ICMPv6 "administratively prohibited"
		c.dialEnded(unreachable, unix.EACCES)
	default:
		c.dialFailed(syscall.Errno(errno))
	}
}

// dialFailed translates an error of connect(2) (ICMP codes as in Linux's icmp_err_convert) into the
// cause that ends the handshake. A failure of this host leaves the handshake as it is: it says
// nothing about the far side, and the client's next SYN dials again.
func (c *conn) dialFailed(err error) {
	if errors.Is(err, errDenied) {
		c.dialEnded(denied, 0)
		return
	}
	errno := unix.EIO
	errors.As(err, &errno)
	switch errno {
	case unix.ECONNREFUSED:
		c.dialEnded(refused, errno)
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT:
		c.dialEnded(unreachable, errno)
	case unix.ETIMEDOUT:
		c.dialEnded(noReply, errno)
	default:
		c.stack.localFailure(err)
		c.setFailure(errno)
	}
}

// dialEnded ends a handshake whose dial has an answer.
func (c *conn) dialEnded(why cause, errno syscall.Errno) {
	c.setFailure(errno)
	c.end(why)
}

// setFailure keeps the error of a dial for its report.
func (c *conn) setFailure(errno syscall.Errno) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if c.phase.Load() == synSent {
		c.handshake.failure = errno
	}
}

// dropSocket closes the host socket of a connection that is not established, or has dial do so.
// Stack.mu is held, so that no two goroutines close it.
func (c *conn) dropSocket() {
	if c.handshake.dialling {
		c.handshake.unwanted = true
		return
	}
	c.handshake.unwanted = false
	delete(c.stack.upstreams, c.upstream)
	c.stack.closeSocket(c.fd)
	c.fd = -1
}

func (s *Stack) closeSocket(fd int) {
	if fd >= 0 {
		s.poller.Remove(fd)
		_ = unix.Close(fd)
	}
}

// localFailure counts and logs a failure of a host socket that is this host's own.
func (s *Stack) localFailure(err error) {
	errno := unix.EIO
	errors.As(err, &errno)
	s.stats.LocalFailures.add(unix.ErrnoName(errno))
	s.descriptors.note(errno, s.o.Log)
	s.o.Log.WithError(err).Debug("host socket failed")
}

// denied reports a destination that policy forbids.
func (s *Stack) denied(server netip.Addr) {
	if s.o.Denied != nil {
		s.o.Denied(server)
	}
}
