//go:build linux

package probe

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/netstack"
	"syntap/stack/sockmem"
	"syntap/tun"
	"syntap/tun/packet"
)

// Prober answers the keepalive probes of one connection's client.
type Prober struct {
	// The end of the last segment to the client, and its acknowledgment number. The caller of
	// IsNews and IsSentAgain serializes these.
	seq, ack uint32

	mu    sync.Mutex
	asked *question // without an answer yet; nil = none
}

// question is a probe, of the client or of the router itself, that waits for its answer.
type question struct {
	fd      int
	at      time.Time // when it was asked, last
	answer  []byte    // netstack's, as the link takes it; nil = no client asks
	offload tun.Offload
	write   func(off tun.Offload, bufs ...[]byte)
	timer   *time.Timer
	wait    time.Duration // of the timer
	own     [2]int        // the values of keepaliveOptions that the socket has by itself
}

// keepaliveOptions are those that a question changes.
var keepaliveOptions = [2]int{unix.TCP_KEEPCNT, unix.TCP_KEEPIDLE}

// endure is the TCP_KEEPCNT by which the kernel does not give up while a client asks.
const endure = 127

const (
	// heardLately is the shortest silence after which Linux probes: a far side that has been heard
	// since then need not be asked.
	heardLately = time.Second
	// abandoned is how long the far side is probed after the last question of a client.
	abandoned = 2 * time.Minute
	// mostAsked is how many probes in a row without an answer the router itself asks for. The
	// kernel counts them as its own, and would give up after TCP_KEEPCNT.
	mostAsked = 4
)

// IsSentAgain reports whether a segment begins before the end of those that have gone to the
// client.
func (p *Prober) IsSentAgain(t netstack.Segment) bool {
	return (p.seq != 0 || p.ack != 0) && int32(t.Seq-p.seq) < 0
}

// IsNews notes a segment to the client, whose handshake began with isn. It returns false for an ACK
// without news, such as netstack's answer to a probe.
func (p *Prober) IsNews(t netstack.Segment, isn uint32) bool {
	seq, ack := t.Seq+uint32(t.Size)+uint32(t.Flags&packet.FIN), t.Ack
	first := p.seq == 0 && p.ack == 0
	same := seq == p.seq && ack == p.ack
	if t.Size == 0 && t.Flags == packet.ACK && (same || first && ack == isn+1) {
		return false
	}
	if int32(seq-p.seq) >= 0 || first { // neither sent again nor a probe of our own
		p.seq, p.ack = seq, ack
	}
	return true
}

// Withhold keeps an answer to the client, which write sends, until the far side of a host socket
// has been heard. It returns false if that is not needed. The socket may be closed after End.
func (p *Prober) Withhold(
	fd int, off tun.Offload, frame [][]byte, write func(off tun.Offload, bufs ...[]byte),
) bool {
	info, ok := sockmem.TCP(fd)
	if !ok || info.Unacked > 0 || info.Notsent_bytes > 0 || heard(&info) < heardLately {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.ask(fd, &info)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, endure)
	q.answer, q.offload, q.write = slices.Concat(frame...), off, write
	return true
}

// Ask probes the far side of a host socket for the router itself, once it has not been heard for a
// second. It does not if the last probes have had no answer: the far side is away for a while, and
// the kernel gives up when it would without. Calls are serialized with those of Withhold and End.
func (p *Prober) Ask(fd int) {
	info, ok := sockmem.TCP(fd)
	if !ok {
		return
	}
	most, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	if err != nil || int(info.Probes) >= min(mostAsked, most-1) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.ask(fd, &info)
	if early := heardLately - heard(&info); early > 0 { // the kernel waits for so long
		q.timer.Reset(q.wait + early)
	}
}

// ask is Ask with mu held.
func (p *Prober) ask(fd int, info *unix.TCPInfo) *question {
	q := p.asked
	if q == nil {
		q = &question{fd: fd}
		q.timer = time.AfterFunc(abandoned, func() { p.answer(q) })
		for i, o := range keepaliveOptions {
			q.own[i], _ = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, o)
		}
		p.asked = q
	}
	q.at = time.Now()
	q.wait = min(10*time.Millisecond+time.Duration(info.Rtt)*time.Microsecond, heardLately)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1) // the kernel probes at once
	q.timer.Reset(q.wait)
	return q
}

// heard returns how long ago the far side of a socket has been heard.
func heard(info *unix.TCPInfo) time.Duration {
	return time.Duration(min(info.Last_ack_recv, info.Last_data_recv)) * time.Millisecond
}

// answer is called by a question's timer.
func (p *Prober) answer(q *question) {
	p.mu.Lock()
	if p.asked != q {
		p.mu.Unlock()
		return
	}
	since := time.Since(q.at)
	info, ok := sockmem.TCP(q.fd)
	answered := ok && heard(&info) < since+heardLately/2 // longer ago when it was asked
	answer, off, write := q.answer, q.offload, q.write
	patience := abandoned
	if answer == nil { // else the kernel would go on to probe an idle connection
		patience = 2 * heardLately
	}
	switch {
	case answered, since > patience:
		p.end()
	default:
		q.wait = min(2*q.wait, heardLately)
		q.timer.Reset(q.wait)
	}
	p.mu.Unlock()
	if answered && answer != nil {
		write(off, answer)
	}
}

// End restores the socket's own keepalive.
func (p *Prober) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// end is End with mu held.
func (p *Prober) end() {
	if p.asked == nil {
		return
	}
	p.asked.timer.Stop()
	for i, o := range keepaliveOptions {
		_ = unix.SetsockoptInt(p.asked.fd, unix.IPPROTO_TCP, o, p.asked.own[i])
	}
	p.asked = nil
}
