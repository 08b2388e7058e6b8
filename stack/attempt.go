//go:build linux

package stack

import (
	"errors"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
)

// setDeadline bounds the present phase. mu is held.
func (s *Stack) setDeadline(f *flow, d time.Duration) {
	f.deadline, f.graced = time.Now().Add(d), false
	if f.timer == nil {
		f.timer = time.AfterFunc(d, func() { s.expire(f) })
		return
	}
	f.timer.Reset(d)
}

// dial starts a connection to the far side. The caller has set f.trying: nobody else dials or
// closes the socket meanwhile.
func (s *Stack) dial(f *flow) {
	target, err := s.dialer.Target(f.key.client.Addr(), f.key.server)
	if errors.Is(err, dial.ErrDenied) {
		s.denied(f.key.server.Addr())
		s.beforeAnswer(f, func() { s.fail(f, tunflow.Denied, 0) })
		return
	}
	if f.key.server.Addr().Is4In6() { // on no wire (RFC 4291 §2.5.5.2), and netstack does not answer for it
		err = unix.ENETUNREACH
	} else {
		err = s.connect(f, target)
	}
	if err != nil {
		s.beforeAnswer(f, func() { s.dialled(f, err) })
		return
	}
	s.dialled(f, nil)
}

// beforeAnswer calls answer when the client may learn how its dial ended.
func (s *Stack) beforeAnswer(f *flow, answer func()) {
	if s.o.BeforeAnswer == nil {
		answer()
		return
	}
	s.o.BeforeAnswer(f.name(), answer)
}

// dialled ends dial's work: the socket is connecting, or err says why not.
func (s *Stack) dialled(f *flow, err error) {
	s.mu.Lock()
	f.trying = false
	if err != nil || f.unwanted {
		s.dropSocket(f)
	}
	s.mu.Unlock()
	if err != nil {
		s.dialFailed(f, err)
	}
}

func (s *Stack) connect(f *flow, target netip.AddrPort) error {
	s.mu.Lock()
	f.upstream.remote = target
	s.mu.Unlock()
	var fd, mss int
	var err error
	for _, port := range s.dialer.SourcePorts(f.key.client.Port()) {
		fd, mss, err = s.connectFrom(port, f, target)
		if port == 0 || !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EACCES) {
			break
		}
	}
	if fd < 0 {
		return err
	}
	up := upstream{local: dial.LocalAddr(fd), remote: target}
	s.mu.Lock()
	f.fd, f.upstream, f.mss = fd, up, mss
	s.upstreams[up] = true
	s.mu.Unlock()
	return s.poller.Add(fd, &f.watch, f, streamEvents)
}

// connectFrom starts the connection of a socket with a source port, 0 = the kernel's choice.
// Without an error it is on its way, or made; fd is -1 with one.
func (s *Stack) connectFrom(port uint16, f *flow, target netip.AddrPort) (fd, mss int, err error) {
	fd, err = s.dialer.Stream(target.Addr())
	if err != nil {
		return -1, 0, err
	}
	mss, err = s.sizeStream(fd, f.key, target.Addr())
	f.socket.Store(uint32(sizedByKernel))
	if f.payer.cramped() {
		resizeSocket(fd, sizedTightAtFirst)
		f.socket.Store(uint32(sizedTightAtFirst))
	}
	if dscp := dscpOf(f.syn); dscp != 0 {
		setDSCP(fd, target.Addr().Is6(), dscp)
	}
	client := f.key.client.Addr()
	switch keep := s.o.KeepSource; {
	case err != nil:
	case keep != nil && keep(client) && port != 0 && port == f.key.client.Port():
		err = unix.EADDRINUSE // one like the client's would keep it from connecting again
	case keep != nil && keep(client):
		err = dial.BindSource(fd, netip.AddrPortFrom(client, port))
	case port != 0:
		err = s.dialer.Bind(fd, target, port, f.key.client)
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

// connected is called when the socket of a dialling flow is writable or has failed, and may be
// called again.
func (s *Stack) connected(f *flow) {
	s.beforeAnswer(f, func() { s.answerConnected(f) })
}

func (s *Stack) answerConnected(f *flow) {
	s.mu.Lock()
	if f.phase.Load() != dialling || f.fd < 0 {
		s.mu.Unlock()
		return
	}
	errno, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		errno = int(unix.EBADF)
	}
	full := s.halfOpenFull(f.key.client.Addr(), f.isLocal)
	if full == nil && errno == 0 {
		if account := f.takeRoom(); account != nil {
			full = s.fullOf(account)
		}
	}
	place := errno == 0 && full == nil
	if place {
		f.resizeSocket()
		s.countHalfOpen(f, 1)
		f.phase.Store(answering)
		s.setDeadline(f, s.o.HandshakeTimeout)
	} else {
		s.dropSocket(f)
	}
	s.mu.Unlock()
	switch {
	case place:
		s.report(f, tunflow.Connected, 0)
		s.addresses.enter(f)
		s.paths.lowerMSS(f.syn, false)
		s.deliver(newPacket(f.syn))
	case errno == 0:
		full.Add(1) // the client's next SYN dials again
	case syscall.Errno(errno) == unix.EACCES: // from the network: ICMPv6 administratively prohibited
		s.fail(f, tunflow.Unreachable, unix.EACCES)
	default:
		s.dialFailed(f, syscall.Errno(errno))
	}
}

// dialFailed translates what connect(2) says (ICMP codes as in Linux's icmp_err_convert) into what
// the client gets to see. A failure of our own leaves the attempt as it is: it says nothing about
// the far side, and the client's next SYN dials again.
func (s *Stack) dialFailed(f *flow, err error) {
	errno := unix.EIO
	errors.As(err, &errno)
	switch errno {
	case unix.ECONNREFUSED:
		s.fail(f, tunflow.Refused, errno)
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT:
		s.fail(f, tunflow.Unreachable, errno)
	case unix.ETIMEDOUT:
		s.fail(f, tunflow.NoReply, errno)
	default:
		s.localFailure(err)
		s.mu.Lock()
		f.failure = errno
		s.mu.Unlock()
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

// dropSocket closes the socket of a flow that is not open, or has dial do so. mu is held, so that
// no two goroutines close it.
func (s *Stack) dropSocket(f *flow) {
	if f.trying {
		f.unwanted = true
		return
	}
	f.unwanted = false
	delete(s.upstreams, f.upstream)
	s.closeSocket(f.fd)
	f.fd = -1
}

// A timer that fires stall late tells that this process has not run, because the machine was busy,
// asleep or stopped. What came meanwhile is still to be read, and has grace to make the deadline.
const (
	stall = 200 * time.Millisecond
	grace = time.Second
)

// expire is called by the flow's timer.
func (s *Stack) expire(f *flow) {
	s.mu.Lock()
	late := time.Since(f.deadline)
	early := late < 0 // the phase has changed while the timer fired
	phase, failure := f.phase.Load(), f.failure
	joined := f.joined
	if late >= stall && !f.graced && (phase == dialling || phase == answering) {
		s.setDeadline(f, grace)
		f.graced = true
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if failure == 0 {
		failure = unix.ETIMEDOUT
	}
	switch {
	case early:
	case phase == dialling:
		s.fail(f, tunflow.NoReply, failure)
	case phase == answering:
		if joined {
			s.stats.Unrecorded.Add(1)
		}
		s.cancel(f)
	}
}

// fail ends a dial that has not connected and lets the client know as much as the host knows.
func (s *Stack) fail(f *flow, a tunflow.Answer, errno syscall.Errno) {
	s.mu.Lock()
	if f.phase.Load() != dialling {
		s.mu.Unlock()
		return
	}
	f.phase.Store(gone)
	s.dropSocket(f)
	s.mu.Unlock()
	s.report(f, a, errno)
	if a != tunflow.NoReply {
		s.answer(f.syn, a, errno)
	}
	s.forget(f)
}

// forward has netstack make the endpoint for a SYN. Its receive buffer is the forwarder's.
func (s *Stack) forward(id gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
	s.mu.Lock()
	f := s.flows[flowKey{client: addrPort(id.RemoteAddress, id.RemotePort), server: addrPort(id.LocalAddress, id.LocalPort)}]
	s.mu.Unlock()
	if f != nil && f.tight.Load() {
		return s.tightForwarder.HandlePacket(id, pkt)
	}
	return s.forwarder.HandlePacket(id, pkt)
}

// accept runs in a goroutine of netstack's Forwarder for a SYN that it has let in. It lives until
// the client has acknowledged our SYN-ACK.
func (s *Stack) accept(r *tcp.ForwarderRequest) {
	f := s.answeringFlow(r)
	if f == nil { // reassembled from fragments, abandoned meanwhile, or the next of a connection just over: not dialled for
		s.stats.DropStraySYN.Add(1)
		r.Complete(false)
		return
	}
	ep, err := r.CreateEndpoint(&f.wq)
	r.Complete(false)
	if err != nil {
		s.abandon(f)
		return
	}
	f.join(ep)
	s.mu.Lock()
	s.countHalfOpen(f, -1)
	f.syn = nil
	s.charge(f)
	f.joined = true
	ready, stopping := f.recorded || !s.o.AwaitRecord, s.stopping
	if !ready {
		s.setDeadline(f, s.o.HandshakeTimeout)
	}
	s.mu.Unlock()
	if ready {
		s.open(f)
	}
	if stopping {
		s.cancel(f)
	}
}

// Recorded says that the handshake of a connection is on record, and lets its payload pass. It may
// be called before the stack itself knows that the client has acknowledged.
//
// serverISN is kept for FlowDone: the stack does not know which number netstack chose.
func (s *Stack) Recorded(k tunflow.Key, serverISN uint32) {
	s.mu.Lock()
	f := s.flows[flowKey{client: k.Client, server: k.Server}]
	if f == nil || f.isn != k.ISN || f.phase.Load() != answering {
		s.mu.Unlock()
		return
	}
	f.recorded, f.serverISN = true, serverISN
	joined := f.joined
	s.mu.Unlock()
	if joined {
		s.open(f)
	}
}

// open begins to carry payload, once.
func (s *Stack) open(f *flow) {
	s.mu.Lock()
	if f.phase.Load() != answering {
		s.mu.Unlock()
		return
	}
	f.timer.Stop()
	f.timer = nil // not needed any more, and large
	f.phase.Store(open)
	s.mu.Unlock()
	f.outbound.Wake() // there may be news already
	f.inbound.Wake()
}

// reset ends a connection that has carried nothing.
func (s *Stack) reset(f *flow) {
	f.began(tunflow.RouterRST)
	f.resetGuest.Store(true)
	f.resetHost.Store(true)
	s.open(f)
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
	phase, accepting, joined := f.phase.Load(), f.accepting, f.joined
	if phase == dialling {
		f.phase.Store(gone)
		s.dropSocket(f)
	}
	s.mu.Unlock()
	switch phase {
	case dialling:
		s.forget(f)
	case answering:
		switch {
		case joined:
			s.reset(f)
		case accepting:
			f.wq.Notify(waiter.WritableEvents) // makes CreateEndpoint give up
		default:
			s.abandon(f)
		}
	case open, closing:
		f.abort()
	}
}

// abandon ends a flow whose client has not completed the handshake, or has reset right after it.
// The far side, which has accepted, sees a RST.
func (s *Stack) abandon(f *flow) {
	s.mu.Lock()
	if f.phase.Load() != answering {
		s.mu.Unlock()
		return
	}
	f.phase.Store(gone)
	s.countHalfOpen(f, -1)
	s.dropSocket(f)
	s.mu.Unlock()
	s.forget(f)
}

func (s *Stack) closeSocket(fd int) {
	if fd >= 0 {
		s.poller.Remove(fd)
		_ = unix.Close(fd)
	}
}

// report hands the end of a dial to Options.DialDone.
func (s *Stack) report(f *flow, a tunflow.Answer, errno syscall.Errno) {
	s.stats.Dials[a].Add(1)
	if s.o.DialDone == nil {
		return
	}
	d := tunflow.Dial{Key: f.name(), Answer: a}
	d.Remote, d.DialTime, d.MSS = f.upstream.remote, time.Since(f.started), f.mss
	if errno != 0 {
		d.Error = unix.ErrnoName(errno)
	}
	if a == tunflow.Connected {
		d.Local = f.upstream.local
	}
	s.o.DialDone(d)
}

// reportDropped hands a SYN that was dropped to Options.DialDone. errno is the local failure that
// comes closest.
func (s *Stack) reportDropped(key flowKey, isn uint32, errno syscall.Errno) {
	if s.o.DialDone != nil {
		d := tunflow.Dial{Key: key.name(isn), Answer: tunflow.Dropped}
		d.Error = unix.ErrnoName(errno)
		s.o.DialDone(d)
	}
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(a.AsSlice())
	return netip.AddrPortFrom(ip, port)
}
