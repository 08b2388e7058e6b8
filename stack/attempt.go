//go:build linux

package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/dial"
)

// outboundSYN handles a client's SYN and reports whether netstack is to see it now. A new SYN starts a dial and is held
// back until the far side has answered: dial before accept. frame is the caller's and is copied.
func (s *Stack) outboundSYN(key flowKey, isn uint32, frame ...[]byte) (deliver bool) {
	s.mu.Lock()
	if f := s.flows[key]; f != nil {
		return s.repeatedSYN(f, isn) // unlocks
	}
	f := s.newAttempt(key, isn, frame)
	s.mu.Unlock()
	if f != nil {
		s.dial(f)
	}
	return false
}

// repeatedSYN handles a SYN on a 4-tuple in use. It is called with mu held and releases it.
func (s *Stack) repeatedSYN(f *flow, isn uint32) (deliver bool) {
	phase := f.phase.Load()
	retry := phase == dialling && f.fd < 0 && f.isn == isn
	s.mu.Unlock()
	switch {
	case phase == open:
		return true // challenge ACK (RFC 5961 §4)
	case f.isn != isn: // the client has begun anew; its next SYN finds the tuple free
		s.cancel(f)
	case phase == answering:
		return true // our SYN-ACK was lost
	case retry:
		s.dial(f)
	}
	return false
}

// newAttempt enters a flow in the table, or returns nil and counts why not. mu is held.
func (s *Stack) newAttempt(key flowKey, isn uint32, frame [][]byte) *flow {
	source := key.client.Addr()
	switch {
	case s.stopping:
		return nil
	case len(s.flows) >= s.o.TCPFlows:
		s.stats.DropTCPFlows.Add(1)
		return nil
	case s.stats.HalfOpen.Load() >= int64(s.o.HalfOpen), s.halfOpen[source] >= s.o.HalfOpenPerSource:
		s.stats.DropHalfOpen.Add(1)
		return nil
	}
	var syn []byte
	for _, b := range frame {
		syn = append(syn, b...)
	}
	f := newFlow(s, key, isn, syn)
	s.flows[key] = f
	s.live.Add(1)
	s.stats.TCPFlows.Add(1)
	s.stats.HalfOpen.Add(1)
	s.halfOpen[source]++
	s.setDeadline(f, s.o.DialTimeout)
	return f
}

// setDeadline bounds the present phase. mu is held.
func (s *Stack) setDeadline(f *flow, d time.Duration) {
	f.deadline = time.Now().Add(d)
	if f.timer == nil {
		f.timer = time.AfterFunc(d, func() { s.expire(f) })
		return
	}
	f.timer.Reset(d)
}

// dial starts a connection to the far side. Only readLoop's goroutine calls it.
func (s *Stack) dial(f *flow) {
	target, err := s.dialer.Target(f.key.server)
	if errors.Is(err, dial.ErrDenied) {
		s.fail(f, Denied, 0)
		return
	}
	fd, err := s.dialer.Stream(target.Addr())
	if err != nil {
		s.localFailure(f, err)
		return
	}
	s.mu.Lock()
	f.remote, f.fd = target, fd
	s.mu.Unlock()
	errno := dial.Connect(fd, target)
	if errno == 0 || errno == unix.EINPROGRESS {
		if err := s.poller.add(fd, &f.watch, streamEvents); err != nil {
			s.localFailure(f, err)
		}
		return
	}
	s.dialFailed(f, errno)
}

// connected is called when the socket of a dialling flow is writable or has failed.
func (s *Stack) connected(f *flow) {
	errno, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		errno = int(unix.EBADF)
	}
	if errno != 0 {
		s.dialFailed(f, syscall.Errno(errno))
		return
	}
	s.mu.Lock()
	if f.phase.Load() != dialling {
		s.mu.Unlock()
		return
	}
	f.phase.Store(answering)
	s.setDeadline(f, s.o.HandshakeTimeout)
	s.mu.Unlock()
	s.report(f, Connected, 0)
	s.deliver(newPacket(f.syn))
}

// dialFailed translates what connect(2) says (ICMP codes as in Linux's icmp_err_convert) into what the client gets to see.
func (s *Stack) dialFailed(f *flow, errno syscall.Errno) {
	switch errno {
	case unix.ECONNREFUSED:
		s.fail(f, Refused, errno)
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT:
		s.fail(f, Unreachable, errno)
	case unix.ETIMEDOUT:
		s.fail(f, Silent, errno)
	default:
		s.localFailure(f, errno)
	}
}

// localFailure leaves the attempt as it is: it says nothing about the far side, and the client's next SYN dials again.
func (s *Stack) localFailure(f *flow, err error) {
	errno := unix.EIO
	errors.As(err, &errno)
	s.stats.LocalFailures.Add(1)
	s.o.Log.WithError(err).WithField("server", f.key.server).Debug("dial failed locally")
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.phase.Load() == dialling {
		f.failure = errno
		s.dropSocket(f)
	}
}

// dropSocket closes the socket of a flow that is not open. mu is held, so that no two goroutines close it.
func (s *Stack) dropSocket(f *flow) {
	s.closeSocket(f.fd)
	f.fd = -1
}

// expire is called by the flow's timer.
func (s *Stack) expire(f *flow) {
	s.mu.Lock()
	early := time.Now().Before(f.deadline) // the phase has changed while the timer fired
	phase, failure := f.phase.Load(), f.failure
	s.mu.Unlock()
	switch {
	case early:
	case phase == dialling && failure != 0:
		s.fail(f, Silent, failure)
	case phase == dialling:
		s.fail(f, Silent, unix.ETIMEDOUT)
	case phase != open:
		s.cancel(f)
	}
}

// fail ends a dial that has not connected and lets the client know as much as the host knows.
func (s *Stack) fail(f *flow, a Answer, errno syscall.Errno) {
	s.mu.Lock()
	if f.phase.Load() != dialling {
		s.mu.Unlock()
		return
	}
	s.endHalfOpen(f)
	if a == Silent {
		f.phase.Store(silent)
		s.setDeadline(f, s.o.DialTimeout)
	} else {
		f.phase.Store(gone)
	}
	s.dropSocket(f)
	s.mu.Unlock()
	s.report(f, a, errno)
	if a != Silent {
		s.answer(f.syn, a, errno)
		s.forget(f)
	}
}

// accept runs in a goroutine of netstack's Forwarder for a SYN that it has let in. It lives until the client has
// acknowledged our SYN-ACK.
func (s *Stack) accept(r *tcp.ForwarderRequest) {
	f := s.answeringFlow(r)
	if f == nil { // reassembled from fragments, or abandoned meanwhile: nobody has dialled for it
		s.stats.DropMalformed.Add(1)
		r.Complete(false)
		return
	}
	ep, err := r.CreateEndpoint(&f.wq)
	r.Complete(false)
	if err != nil {
		s.abandon(f)
		return
	}
	ep.SocketOptions().SetKeepAlive(true)
	s.mu.Lock()
	s.endHalfOpen(f)
	f.syn = nil
	f.timer.Stop()
	stopping := s.stopping
	f.phase.Store(open)
	s.mu.Unlock()
	f.relay(ep)
	if stopping {
		f.abort()
	}
}

func (s *Stack) answeringFlow(r *tcp.ForwarderRequest) *flow {
	id := r.ID()
	key := flowKey{client: addrPort(id.RemoteAddress, id.RemotePort), server: addrPort(id.LocalAddress, id.LocalPort)}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows[key]
	if f == nil || f.phase.Load() != answering || f.accepting {
		return nil
	}
	f.accepting = true
	return f
}

// cancel ends a flow in any phase.
func (s *Stack) cancel(f *flow) {
	s.mu.Lock()
	phase, accepting := f.phase.Load(), f.accepting
	if phase == dialling || phase == silent {
		if phase == dialling {
			s.endHalfOpen(f)
		}
		f.phase.Store(gone)
		s.dropSocket(f)
	}
	s.mu.Unlock()
	switch phase {
	case dialling, silent:
		s.forget(f)
	case answering:
		if accepting {
			f.wq.Notify(waiter.WritableEvents) // makes CreateEndpoint give up
		} else {
			s.abandon(f)
		}
	case open:
		f.abort()
	}
}

// abandon ends a flow whose client has not completed the handshake, or has reset right after it. The far side, which has
// accepted, sees a RST.
func (s *Stack) abandon(f *flow) {
	s.mu.Lock()
	if f.phase.Load() != answering {
		s.mu.Unlock()
		return
	}
	f.phase.Store(gone)
	s.endHalfOpen(f)
	resetOnClose(f.fd)
	s.dropSocket(f)
	s.mu.Unlock()
	if s.o.Abandoned != nil {
		s.o.Abandoned(f.key.client, f.key.server, f.isn)
	}
	s.forget(f)
}

// endHalfOpen gives the attempt's share of the half-open limits back. mu is held.
func (s *Stack) endHalfOpen(f *flow) {
	s.stats.HalfOpen.Add(-1)
	source := f.key.client.Addr()
	if s.halfOpen[source]--; s.halfOpen[source] == 0 {
		delete(s.halfOpen, source)
	}
}

// forget takes a flow that is over out of the table.
func (s *Stack) forget(f *flow) {
	s.mu.Lock()
	delete(s.flows, f.key)
	f.phase.Store(gone)
	f.timer.Stop()
	s.mu.Unlock()
	s.stats.TCPFlows.Add(-1)
	s.live.Done()
}

func (s *Stack) closeSocket(fd int) {
	if fd >= 0 {
		s.poller.remove(fd)
		_ = unix.Close(fd)
	}
}

// report tells the app how a dial ended.
func (s *Stack) report(f *flow, a Answer, errno syscall.Errno) {
	s.stats.Dials[a].Add(1)
	if s.o.DialDone == nil {
		return
	}
	d := Dial{Client: f.key.client, Server: f.key.server, ISN: f.isn, Answer: a, Remote: f.remote, Duration: time.Since(f.started)}
	if errno != 0 {
		d.Errno = unix.ErrnoName(errno)
	}
	if a == Connected {
		d.Local = dial.LocalAddr(f.fd)
	}
	s.o.DialDone(d)
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(ip, port)
}
