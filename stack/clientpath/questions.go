package clientpath

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"syntap/tun/packet"
)

// Questions are keepalive probes that ask clients how far they have sent. A client whose segments
// are all lost looks like one that has nothing to say, but the sequence number of its ACK is that
// behind all that it has sent (RFC 9293 §3.4).
type Questions struct {
	active atomic.Int32

	mu  sync.Mutex                      // guards all
	all map[[2]netip.AddrPort]*question // by client and server
}

// question waits for an answer.
type question struct {
	received uint32 // the number behind all that has come from the client
	sent     uint32 // the number behind all that it has acknowledged
	answered bool
	missing  uint32
}

// Ask begins a question to the client of a connection, of which all bytes before the number
// received have come, and which has acknowledged all before sent. A keepalive probe has to follow.
func (q *Questions) Ask(client, server netip.AddrPort, received, sent uint32) {
	key := [2]netip.AddrPort{client, server}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all == nil {
		q.all = make(map[[2]netip.AddrPort]*question)
	}
	if q.all[key] == nil {
		q.active.Add(1)
	}
	q.all[key] = &question{received: received, sent: sent}
}

// Active reports whether a question waits.
func (q *Questions) Active() bool { return q.active.Load() > 0 }

// Note takes a segment of a client while questions wait. One without payload that acknowledges all
// bytes is an answer: a stranger does not know the number.
func (q *Questions) Note(client, server netip.AddrPort, h *packet.Headers) {
	if h.Flags&(packet.SYN|packet.FIN|packet.RST|packet.ACK) != packet.ACK || h.PayloadLen() > 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	one := q.all[[2]netip.AddrPort{client, server}]
	if one == nil || h.Ack != one.sent {
		return
	}
	one.answered = true
	if ahead := h.Seq - one.received; int32(ahead) > 0 { // else it has sent a probe itself
		one.missing = max(one.missing, ahead)
	}
}

// End ends a question. It returns the bytes that the client has sent and that have not come, and
// whether it has answered.
func (q *Questions) End(client, server netip.AddrPort) (missing uint64, answered bool) {
	key := [2]netip.AddrPort{client, server}
	q.mu.Lock()
	defer q.mu.Unlock()
	one := q.all[key]
	if one == nil {
		return 0, false
	}
	delete(q.all, key)
	q.active.Add(-1)
	return uint64(one.missing), one.answered
}
