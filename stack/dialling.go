//go:build linux

package stack

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/race"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/raw"
)

// dial starts a connection to the far side. The caller has set handshake.dialling, so that no other
// goroutine dials or closes the socket. If the destination stands for a name whose addresses have
// expired, another goroutine continues when new ones are known.
func (c *conn) dial() {
	s := c.stack
	if c.unhold == nil {
		c.dialKnown()
		return
	}
	s.mu.Lock()
	wanted := !c.handshake.unwanted && c.phase.Load() == synSent
	if wanted {
		s.live.Add(1)
	}
	s.mu.Unlock()
	if !wanted {
		c.dialled(nil)
		return
	}
	s.dialer.Await(c.key.server.Addr(), func() {
		defer s.live.Done()
		if c.isUnwanted() {
			c.dialled(nil)
			return
		}
		c.dialKnown()
	})
}

// isUnwanted reports whether the handshake has ended while dial is at work.
func (c *conn) isUnwanted() bool {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	return c.handshake.unwanted
}

// dialKnown dials the addresses that are known to be the destination's.
func (c *conn) dialKnown() {
	d := c.stack.dialer
	f := dial.Flow{Client: c.key.client, Server: c.key.server, ISN: c.isn}
	rule := d.Rule(f)
	targets, decision := d.Targets(f, rule)
	c.setDecision(decision)
	c.beginGate(rule, decision)
	c.setRest(nil)
	var err error
	switch {
	case decision.Deny:
		c.stack.denied(c.key.server.Addr(), decision)
		err = errDenied
	case c.key.server.Addr().Is4In6(): // such addresses are on no wire (RFC 4291 §2.5.5.2)
		err = unix.ENETUNREACH
	default:
		c.setRest(targets[1:])
		err = c.connect(targets[0])
	}
	if err != nil && c.dialRest(err) {
		return
	}
	c.dialledBefore(err)
}

// dialledBefore ends dial's work as dialled does, but delays an error until the client may get it.
func (c *conn) dialledBefore(err error) {
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

// beforeAnswer calls answer when the client may get the result of its dial.
func (c *conn) beforeAnswer(answer func()) {
	if c.stack.o.BeforeAnswer == nil {
		answer()
		return
	}
	c.stack.o.BeforeAnswer(c.name(), answer)
}

// dialled ends dial's work: the socket is connecting unless there is an err.
func (c *conn) dialled(err error) {
	c.stack.mu.Lock()
	var r *race.Race
	if h := c.handshake; h != nil { // else the handshakes were quicker than dial's return
		h.dialling = false
		if err != nil || h.unwanted {
			c.dropSocket()
		} else if h.early != nil {
			r = c.takeRest(h.early)
		}
	}
	c.stack.mu.Unlock()
	c.run(r)
	if err != nil {
		c.dialFailed(err)
	}
}

// connect opens a host socket and begins to connect it.
func (c *conn) connect(target netip.AddrPort) error {
	c.setTarget(target)
	fd, mss, err := c.open(target)
	if err != nil {
		return err
	}
	return c.adopt(fd, mss, target, c.stack.poller.Add)
}

// setTarget notes the address that is dialled, for the report.
func (c *conn) setTarget(target netip.AddrPort) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	c.upstream.server = target
}

// open returns a host socket that is connecting, or connected.
func (c *conn) open(target netip.AddrPort) (fd int, mss packet.MSS, err error) {
	if err := c.stack.dialer.Announce(target, false); err != nil {
		return -1, 0, err
	}
	for _, port := range c.stack.dialer.SourcePorts(c.key.client.Port()) {
		fd, mss, err = c.connectFrom(port, target)
		taken := errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EADDRNOTAVAIL)
		if port == 0 || !taken && !errors.Is(err, unix.EACCES) {
			break
		}
	}
	return fd, mss, err
}

// adopt gives the socket from open to the connection, and adds it to the poller.
func (c *conn) adopt(
	fd int, mss packet.MSS, target netip.AddrPort,
	watch func(int, *sched.Watch, sched.Watcher, uint32) error,
) error {
	s := c.stack
	up := connKey{client: dial.LocalAddr(fd), server: target}
	s.sockets.Take(up, s.shard)
	s.mu.Lock()
	c.fd, c.upstream, c.mss = fd, up, mss
	s.mu.Unlock()
	return watch(fd, &c.watch, c, streamEvents)
}

// connectFrom starts the connection of a socket with a source port, 0 = the kernel's choice.
// Without an error it is connecting or connected; with one fd is -1.
func (c *conn) connectFrom(port uint16, target netip.AddrPort) (fd int, mss packet.MSS, err error) {
	s := c.stack
	fd, err = s.dialer.Stream(target.Addr())
	if err != nil {
		return -1, 0, err
	}
	mss, err = s.sizeStream(fd, c.key, target.Addr())
	c.memory.socket.Store(uint32(sockmem.ByKernel))
	if c.memory.payer.Cramped() {
		sockmem.Resize(fd, sockmem.ByKernel, sockmem.TightAtFirst, 0)
		c.memory.socket.Store(uint32(sockmem.TightAtFirst))
	}
	if dscp := dscpOf(c.handshake.syn); dscp != 0 {
		setDSCP(fd, target.Addr().Is6(), dscp)
	}
	client := c.key.client.Addr()
	switch keep := s.o.KeepSource; {
	case err != nil:
	case keep != nil && keep(client) && port != 0 && port == c.key.client.Port():
		err = unix.EADDRINUSE // the client's own port would keep it from connecting again
	case keep != nil && keep(client):
		err = s.dialer.BindSource(fd, netip.AddrPortFrom(client, port))
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

// connected is called when the host socket is writable or has failed, and may be called again.
func (c *conn) connected() {
	s := c.stack
	s.mu.Lock()
	if c.phase.Load() != synSent || c.fd < 0 {
		s.mu.Unlock()
		return
	}
	errno := dial.ConnectErrno(c.fd)
	if h := c.handshake; errno != 0 && len(h.rest) > 0 {
		var r *race.Race
		if h.early = dial.ConnectFailure(errno); !h.dialling {
			r = c.takeRest(h.early)
		}
		s.mu.Unlock()
		c.run(r)
		return
	}
	full := s.halfOpenFull(c.key.client.Addr(), c.isLocal)
	if full == nil && errno == 0 {
		if account := c.memory.takeRoom(); account != nil {
			full = s.fullOf(account)
		}
	}
	place, syn := errno == 0 && full == nil, c.handshake.syn
	if place {
		s.live.Add(1) // until netstack has the SYN
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
		s.paths.LowerMSS(syn, false)
		s.net.DeliverCopy(syn)
		s.live.Done()
	case errno == 0:
		full.Add(1) // the client's next SYN dials again
		s.reportDropped(c.key, c.isn, unix.ENOBUFS)
	default:
		c.dialFailed(dial.ConnectFailure(errno))
	}
}

// dialFailed translates an error of connect(2) (ICMP codes as in Linux's icmp_err_convert) into the
// cause that ends the handshake. A failure of this host does not end the handshake: it says nothing
// about the far side, and the client's next SYN dials again.
func (c *conn) dialFailed(err error) {
	if errors.Is(err, errDenied) {
		c.dialEnded(denied, 0)
		return
	}
	if errors.Is(err, dial.ErrProhibited) {
		c.dialEnded(unreachable, unix.EACCES)
		return
	}
	errno := unix.EIO
	errors.As(err, &errno)
	switch errno {
	case unix.ECONNREFUSED:
		c.dialEnded(refused, errno)
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT,
		unix.EOPNOTSUPP, unix.EPROTO:
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

// dropSocket closes the host socket of a connection that is not established, or leaves it to dial.
// Stack.mu is held, so that no two goroutines close it.
func (c *conn) dropSocket() {
	if h := c.handshake; h.dialling {
		h.unwanted = true
		if h.abandon != nil {
			h.abandon()
		}
		return
	}
	c.handshake.unwanted = false
	c.stack.sockets.Give(c.upstream)
	c.stack.closeSocket(c.fd)
	c.fd = -1
}

func (s *Stack) closeSocket(fd int) {
	if fd >= 0 {
		s.poller.Remove(fd)
		raw.Close(fd)
	}
}

// localFailure counts and logs a failure of a host socket that is this host's own.
func (s *Stack) localFailure(err error) {
	errno := unix.EIO
	errors.As(err, &errno)
	s.stats.LocalFailures.add(errno, s.o.Log)
	s.o.Log.WithError(err).Debug("host socket failed")
}

// denied reports a destination that policy forbids.
func (s *Stack) denied(server netip.Addr, d *tunflow.Decision) {
	if s.o.Denied != nil {
		s.o.Denied(server, d)
	}
}
