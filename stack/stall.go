//go:build linux

package stack

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/farseq"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// Once a second the stack looks for stalls: connections that have moved nothing for a second, up to
// stallsFor. It also probes a slow far side for a lost answer (askFar), each time after twice the
// silence, up to looksFor, and a quiet client for lost segments (askClient). Another connection
// with nothing outstanding is not checked before its next byte.
const (
	stallInterval = time.Second
	stallsFor     = 20 * time.Second
	looksFor      = 15 * time.Minute
)

// swept is the state of a connection that the sweeper alone uses.
type swept struct {
	pause   int32  // of the host socket in ms, while resendSooner bounds it; 0 = it does not
	silent  uint16 // looks since the last byte
	again   uint16 // such a look, before which it is not looked at
	missed  uint16 // such a look, by which the far side had told that bytes are missing
	still   uint8  // ticks without a byte, up to when the directions know
	settled bool   // nothing is outstanding: no stall
	asking  bool   // the far side, whether bytes are missing
	unheard uint8  // questions to the client in a row without an answer (askClient)
	endless bool   // the host socket had no TCP_USER_TIMEOUT, before resendSooner
}

// The bits of conn.moved.
const (
	movedForSweep uint32 = 1 << iota
	movedForStall
	movedForAll = 1<<iota - 1
)

// takeMoved reports whether a byte has crossed since the last call with the same bit.
func (c *conn) takeMoved(bit uint32) bool { return c.moved.And(^bit)&bit != 0 }

// lookForStalls reports the legs of connections that make no progress to Options.Stalled. It costs
// a moving connection one bit, and an idle one a system call each time that it has become idle.
func (s *Stack) lookForStalls(y *sched.Yielder) {
	if s.shard == 0 {
		s.firsts.Store(0)
	}
	s.questions = 0
	s.eachRelayed(y, (*conn).lookForStall)
}

// lookForStall is a look at one connection.
func (c *conn) lookForStall() {
	asked := c.sweep.asking
	c.hearFar()
	missing, heard := c.hearClient()
	if c.takeMoved(movedForStall) {
		c.resendSooner(false)
		w := &c.sweep
		w.silent, w.again, w.missed, w.unheard, w.settled = 0, 0, 0, 0, false
		return
	}
	if c.sweep.settled {
		c.sweep.unheard = 0
		return
	}
	if c.sweep.silent++; c.sweep.silent < c.sweep.again && missing == 0 && c.sweep.unheard == 0 {
		return
	}
	silent := time.Duration(c.sweep.silent) * stallInterval
	server, serverWaits := c.stall(silent)
	client, clientWaits := c.clientStall(silent, missing)
	if heard {
		client.Heard = 0
	}
	c.resendSooner(serverWaits && server.Unacked > 0 && silent <= resendsFor && c.serverHasWindow())
	asksClient := c.askClient(&client)
	switch {
	case !serverWaits && !clientWaits:
		c.sweep.again, c.sweep.settled = 2*c.sweep.silent, !asksClient
	case silent <= stallsFor+time.Duration(c.sweep.missed)*stallInterval:
		if serverWaits {
			c.askFar(&server)
			c.stack.o.Stalled(server)
		}
		if clientWaits {
			c.stack.o.Stalled(client)
		}
	case !serverWaits || server.Missing > 0 || c.far.Load() == nil || silent > looksFor:
		c.sweep.settled = true
	case asked:
		c.sweep.again = 2 * c.sweep.silent
		c.stack.o.Stalled(server) // measurements may have failed so far
	default:
		c.askFar(&server)
	}
}

// A host socket whose segments are not acknowledged retransmits them every second for a while, so
// that a black hole is detected and left soon, and a question behind which one waits arrives. The
// kernel would double the pause each time, up to two minutes. It would begin with three seconds if
// an answer to the SYN was lost, because that makes the path look slow.
const (
	resendsFor  = 10 * time.Second
	resendPause = 1000 // ms
	mostRTT     = 200 * time.Millisecond
	tcpRTOMaxMS = 44 // TCP_RTO_MAX_MS, of Linux 6.15
	noPause     = -1 // of swept.pause: the kernel lacks it, or the path is slow
	// With short pauses the kernel would give up after 15 s. This is its usual time.
	givesUpAfter = 924_600 // ms (net.ipv4.tcp_retries2)
)

// serverHasWindow reports whether the far side's window is open. One that reads nothing may close
// it in front of a segment that it has no memory for. The kernel then gives up after two of the
// longest pauses without an answer.
func (c *conn) serverHasWindow() bool {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if c.phase.Load() != established {
		return false
	}
	info, _ := sockmem.TCP(c.fd)
	return info.Snd_wnd > 0
}

// resendSooner bounds the time between retransmissions, or no more.
func (c *conn) resendSooner(on bool) {
	if on == (c.sweep.pause != 0) {
		return
	}
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	switch {
	case c.phase.Load() != established:
	case on:
		c.sweep.pause = c.boundPause()
	default:
		c.resendAsBefore()
		c.sweep.pause, c.sweep.endless = 0, false
	}
}

// boundPause returns the pause that the host socket has by itself. stack.mu is held.
func (c *conn) boundPause() int32 {
	info, ok := sockmem.TCP(c.fd)
	pause, err := unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, tcpRTOMaxMS)
	patience, otherErr := unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	if !ok || time.Duration(info.Min_rtt)*time.Microsecond > mostRTT || err != nil || otherErr != nil || pause <= resendPause {
		return noPause
	}
	if c.sweep.endless = patience == 0; c.sweep.endless {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, givesUpAfter)
	}
	_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, tcpRTOMaxMS, resendPause)
	return int32(pause)
}

// resendAsBefore restores the host socket's own pause. stack.mu is held.
func (c *conn) resendAsBefore() {
	if c.sweep.pause > 0 {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, tcpRTOMaxMS, int(c.sweep.pause))
	}
	if c.sweep.endless {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 0)
	}
}

// lookAtEnd reports a connection that its client gives up, unless a byte has moved since the last
// look: a client may give up before two looks.
func (c *conn) lookAtEnd() {
	if c.stack.o.Stalled == nil || c.moved.Load()&movedForStall != 0 {
		return
	}
	if stall, waits := c.stall(0); waits {
		c.stack.o.Stalled(stall)
	}
}

// stall returns the state of the server's leg, and whether it waits for anything: for
// acknowledgments of the far side, for an answer to the client's last bytes, or for bytes before
// those received. The kernel's clock ticks every few milliseconds: an answer in the same tick may
// belong to the previous question.
func (c *conn) stall(silent time.Duration) (stall tunflow.Stall, waits bool) {
	c.stack.mu.Lock() // with it the socket stays
	defer c.stack.mu.Unlock()
	if c.phase.Load() != established {
		return stall, false
	}
	info, ok := sockmem.TCP(c.fd)
	if !ok {
		return stall, false
	}
	acked, outstanding := progress(&info)
	stall = tunflow.Stall{
		Key: c.name(), Remote: c.upstream.server, Silent: silent, Age: time.Since(c.started), Opening: c.opening, Clamped: c.mss > 0,
		AdvMSS: info.Advmss, SndMSS: info.Snd_mss, RcvMSS: info.Rcv_mss,
		Unacked: info.Unacked, Sacked: info.Sacked, Backoff: uint32(info.Backoff),
		Retransmits: info.Total_retrans, OutOfOrder: info.Rcv_ooopack,
		Outstanding: outstanding, SentFull: !c.noDF && sentFull(&info, acked), Acked: acked,
		Received: info.Bytes_received, Segments: info.Data_segs_in,
		Incomplete: info.Bytes_received < c.answer.Load(), Missing: c.missing(&info),
		Heard: time.Duration(info.Last_ack_recv) * time.Millisecond,
	}
	if info.Unacked > 0 {
		return stall, true
	}
	if info.Notsent_bytes > 0 || isOver(info.State) { // the far side does not read, or has no more to say
		return stall, false
	}
	if c.seen.has(looped) {
		farseq.Drain(c.fd) // of packets that were sent again
	}
	if readable(c.fd) == 0 && c.memory.kept.Load() == 0 { // else the client does not read
		stall.Held = uint64(max(0, sockmem.Of(c.fd).Received))
	}
	return stall, stall.Held > 0 || stall.Incomplete || stall.Missing > 0 || info.Last_data_recv >= info.Last_data_sent && stall.Acked > 0
}

// isOver reports whether the far side's FIN has come, and all bytes before it. Until it is read it
// takes memory, like a segment behind a hole.
func isOver(state uint8) bool {
	switch state {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING, unix.BPF_TCP_TIME_WAIT, unix.BPF_TCP_CLOSE:
		return true
	}
	return false
}

// sentFull reports whether the segments that are acknowledged were nearly full on average: acked is
// the bytes in them.
func sentFull(info *unix.TCPInfo, acked uint64) bool {
	segments := int64(info.Data_segs_out) - int64(info.Total_retrans) - int64(info.Unacked)
	return segments > 0 && 20*acked >= 19*uint64(segments)*uint64(info.Snd_mss)
}

// PassFull reports whether full segments were acknowledged (up) or received (down) on connections
// to a far end that began after a time, without a clamp. Connections that lose segments now do not
// count.
func (s *Stack) PassFull(remote netip.Addr, since time.Time) (up, down bool) {
	for _, c := range s.relayedByAll() {
		if c.started.Before(since) || c.mss > 0 || c.upstream.server.Addr() != remote {
			continue
		}
		stall, _ := c.stall(0)
		up = up || stall.SentFull && !stall.LosesUp()
		down = down || stall.AdvMSS > 0 && stall.GotFull() && !stall.LosesDown()
	}
	return up, down
}

// progress returns the bytes of payload that the far side has acknowledged, and those that it has
// yet to. Of the kernel's numbers only that of bytes acknowledged counts the SYN and the FIN.
func progress(info *unix.TCPInfo) (acked, outstanding uint64) {
	sent := info.Bytes_sent - min(info.Bytes_retrans, info.Bytes_sent)
	acked = min(payload(info.Bytes_acked), sent)
	return acked, sent - acked
}

// payload subtracts the SYN from a number of acknowledged bytes.
func payload(acked uint64) uint64 { return max(acked, 1) - 1 }

// readable returns the bytes that a read of a socket would bring.
func readable(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// ClearDF lets routers fragment the IPv4 packets of a connection's host socket, so that a segment
// that is stuck in front of a narrow link passes with the next retransmission. It reports whether
// it could.
func (s *Stack) ClearDF(k tunflow.Key) bool {
	key := connKey{client: k.Client, server: k.Server}
	s = s.home(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conns[key]
	if c == nil || c.isn != k.ISN || c.phase.Load() != established || !c.upstream.server.Addr().Is4() {
		return false
	}
	c.noDF = dial.SetDF(c.fd, packet.ClearDF) == nil
	return c.noDF
}

// AckedOf returns the bytes that the far side of a connection has acknowledged, and whether there
// is such a connection.
func (s *Stack) AckedOf(k tunflow.Key) (acked uint64, ok bool) {
	key := connKey{client: k.Client, server: k.Server}
	s = s.home(key)
	s.mu.Lock()
	c := s.conns[key]
	s.mu.Unlock()
	if c == nil || c.isn != k.ISN {
		return 0, false
	}
	stall, _ := c.stall(0)
	return stall.Acked, stall.Remote.IsValid()
}

// ResetStuck resets both ends of a connection whose bytes vanish on the way: the client's next
// connection will be cured.
func (s *Stack) ResetStuck(k tunflow.Key) {
	key := connKey{client: k.Client, server: k.Server}
	s = s.home(key)
	s.mu.Lock()
	c := s.conns[key]
	s.mu.Unlock()
	if c != nil && c.isn == k.ISN {
		c.end(stuck)
	}
}
