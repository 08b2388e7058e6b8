//go:build linux

package stack

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/netstack"
	"syntap/tun"
	"syntap/tun/packet"
)

// A client whose keepalive asks whether its far side is there (RFC 9293 §3.8.4) does not mean the
// router. Netstack's answer to such a probe is withheld, the far side is probed, and the answer
// goes out when the far side has answered: a client learns of one that has vanished in its own
// time.
//
//	client ── probe ──▶ netstack ── ACK without news ──▶ withhold ── TCP_KEEPIDLE 1 s ──▶ kernel ── probe ──▶ far side
//	   ▲                                                    │                               │
//	   ╰──────────────────── the ACK ───────────── answerProbe ◀── TCP_INFO: heard since ◀──╯
//
// While the far side has not acknowledged all that the client has sent, every probe is answered:
// without a router there would be no probe then, and the retransmissions decide
// (dial.Options.UserTimeout).
type probe struct {
	asked   time.Time // when the client did, last
	answer  []byte    // netstack's, as the link takes it
	offload tun.Offload
	timer   *time.Timer
	wait    time.Duration // of the timer
	own     [2]int        // the values of keepaliveOptions that the socket has by itself
}

// keepaliveOptions have the kernel probe at once, and not give up as long as the client goes on.
var keepaliveOptions = [2]struct{ name, probing int }{{unix.TCP_KEEPCNT, 127}, {unix.TCP_KEEPIDLE, 1}}

const (
	// heardLately is the shortest silence after which Linux probes: a far side that has been heard
	// since then need not be asked.
	heardLately = time.Second
	// probeAbandoned is for how long the far side is asked after the client's last probe.
	probeAbandoned = 2 * time.Minute
)

// said is how far the segments to a client have got: the sequence number behind the last, and its
// acknowledgment.
type said struct{ seq, ack uint32 }

// Withholds implements netstack.Owner: an ACK without news waits for the far side's answer.
func (c *conn) Withholds(t netstack.Segment, off tun.Offload, frame [][]byte) bool {
	now := said{seq: t.Seq + uint32(t.Size) + uint32(t.Flags&packet.FIN), ack: t.Ack}
	first := c.said == said{}
	if t.Size == 0 && t.Flags == packet.ACK && (now == c.said || first && now.ack == c.isn+1) {
		return c.stack.withhold(c, off, frame)
	}
	if t.Size > 0 && !first && int32(t.Seq-c.said.seq) < 0 && !c.isLocal {
		c.noteResent(t, off, frame)
	}
	if int32(now.seq-c.said.seq) >= 0 || first { // neither sent again nor a probe of our own
		c.said = now
	}
	return false
}

// withhold looks at the far side when an ACK without news is to go to the client, as it is sent in
// answer to a probe.
func (s *Stack) withhold(c *conn, off tun.Offload, frame [][]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.phase.Load() != established {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Unacked > 0 || info.Notsent_bytes > 0 || heard(info) < heardLately {
		return false
	}
	p := c.probe
	if p == nil {
		p = new(probe)
		p.timer = time.AfterFunc(probeAbandoned, func() { s.answerProbe(c, p) })
		for i, o := range keepaliveOptions {
			p.own[i], _ = unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, o.name)
		}
		c.probe = p
	}
	p.asked, p.answer, p.offload = time.Now(), slices.Concat(frame...), off
	p.wait = min(10*time.Millisecond+time.Duration(info.Rtt)*time.Microsecond, heardLately)
	for _, o := range keepaliveOptions {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, o.name, o.probing)
	}
	p.timer.Reset(p.wait)
	return true
}

// heard returns how long ago the far side of a socket has been heard.
func heard(info *unix.TCPInfo) time.Duration {
	return time.Duration(min(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond
}

// answerProbe is called by a probe's timer.
func (s *Stack) answerProbe(c *conn, p *probe) {
	s.mu.Lock()
	if c.probe != p {
		s.mu.Unlock()
		return
	}
	since := time.Since(p.asked)
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	answered := err == nil && heard(info) < since+heardLately/2 // it was longer ago when the client asked
	answer, off := p.answer, p.offload
	switch {
	case answered, since > probeAbandoned:
		s.endProbe(c)
	default:
		p.wait = min(2*p.wait, heardLately)
		p.timer.Reset(p.wait)
	}
	s.mu.Unlock()
	if answered {
		s.writeInbound(off, answer)
	}
}

// endProbe gives the socket its own keepalive back. mu is held.
func (s *Stack) endProbe(c *conn) {
	if c.probe == nil {
		return
	}
	c.probe.timer.Stop()
	for i, o := range keepaliveOptions {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, o.name, c.probe.own[i])
	}
	c.probe = nil
}
