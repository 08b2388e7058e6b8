package tap

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// Tracker follows the attempts to open a connection, from the first SYN of each to its verdict. A
// Tap drives one with the frames of a link; on its own it takes the packets of a capture.
//
//	 SYN  ┌─────────┐  SYN-ACK,             ┌──────────┐  third segment,         ┌─────────────┐  both FINs
//	─────►│ opening ├──────────────────────►│ answered ├────────────────────────►│ established ├───────────► absent
//	      └┬─▲───┬──┘  ISS < ack <= c_end   └─┬──┬─────┘  IRS < ack <= s_next,   └──▲───────┬──┘  or a RST; live, Forget
//	       │ │   │                            │  │        ISS < seq <= c_end         │       │
//	       │ ├───┼────────────────────────────┘  │                                   │       │
//	       │ │   │ SYN with another number       │                                   │       │
//	       │ │   └─ SYN of the server, then each SYN acknowledged ───────────────────┘       │
//	       │ └────────── tentative SYN ──────────┼───────────────────────────────────────────┘
//	       ▼                                     ▼
//	refused      RST of the server,           aborted    RST of the server, seq = s_end
//	             ISS < ack <= c_end           aborted    RST of the client, seq = c_next
//	unreachable  ICMP error, quotes the SYN   half_open  time, Forget, end of the capture
//	aborted      RST of the client,
//	             seq = ISS+1                  The boxes are classes of the table. After a failure a flow is absent,
//	denied       the dial was forbidden       but live it can be
//	no_reply     the dial got no answer,      held    while the router may wait for a third segment
//	             time, end of the capture,    silent  after denied and no_reply, and
//	             another SYN                  told    after refused, unreachable and half_open, in a capture too: the same
//	                                                  SYN again goes back to opening, and makes a second record only when
//	                                                  a SYN-ACK brings another outcome
//
// A Tracker is safe for concurrent use.
type Tracker struct {
	o    Options // a live one's timeouts and limits change with all shards locked
	live bool    // segments have directions, and what may not enter the router gets a reason

	notable uint8 // flags of segments that can matter to any flow

	table
	wake       chan struct{} // holds a token after a SYN, for Tap.Run
	serial     atomic.Uint64
	handshakes [len(outcomes)]atomic.Uint64
	evicted    atomic.Uint64
}

// replayHalfOpen bounds a Tracker's memory to some 150 MB.
const replayHalfOpen = 128 << 10

// NewTracker returns a tracker of captured packets. When its table is full the oldest attempt ends
// early.
func NewTracker(o Options) *Tracker {
	setDefault(&o.HalfOpen, replayHalfOpen)
	return newTracker(o, 1, false)
}

func newTracker(o Options, shards int, live bool) *Tracker {
	setDefault(&o.TCPFlows, 16384)
	setDefault(&o.DialTimeout, 10*time.Second)
	t := &Tracker{o: o, live: live, wake: make(chan struct{}, 1)}
	t.init(shards, live)
	t.lives[told] = o.DialTimeout
	t.notable = packet.SYN | packet.RST
	if !live {
		t.notable |= packet.FIN
	}
	return t
}

// Observe takes the next packet of a capture. What is not TCP, and no ICMP error about it, is
// ignored. The packet stays the caller's.
func (t *Tracker) Observe(at time.Time, p *tcpdump.Packet) {
	var h packet.Headers
	s := segment{Headers: &h}
	s.capture(p)
	t.observe(&s, p, at)
}

// observe takes a packet of a capture that has been parsed.
func (t *Tracker) observe(s *segment, p *tcpdump.Packet, at time.Time) {
	switch {
	case s.TCP:
		if hash := t.hash(&s.key); t.concerns(s, hash) {
			t.track(s, hash, p, at)
		}
	case s.Upper:
		t.onICMP(s.Headers, p.Data, p, unordered, at)
	}
}

// Flush ends every open attempt as half_open or no_reply, in the order of their first SYNs.
func (t *Tracker) Flush() {
	type opened struct {
		entry   *entry
		attempt *attempt
	}
	var open []opened
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		for _, c := range []class{opening, answered} {
			for f := sh.lists[c].first; f != nil; f = f.next {
				open = append(open, opened{f, f.attempt})
			}
		}
		sh.mu.Unlock()
	}
	slices.SortFunc(open, func(x, y opened) int { return cmp.Compare(x.attempt.serial, y.attempt.serial) })
	for _, o := range open {
		sh := t.shard(o.entry.hash)
		sh.mu.Lock()
		if o.entry.attempt == o.attempt {
			t.finish(sh, o.entry, o.attempt.unanswered(), o.attempt.rec.Time)
		}
		t.deliver(sh)
	}
}

// Stats returns the counters.
func (t *Tracker) Stats() Stats {
	s := Stats{
		Handshakes: make(map[Outcome]uint64, len(outcomes)),
		HalfOpen:   int(t.count[opening].Load() + t.count[answered].Load()),
		Flows:      int(t.count[established].Load()),
		Evicted:    t.evicted.Load(),
	}
	for i, o := range outcomes {
		s.Handshakes[o] = t.handshakes[i].Load()
	}
	return s
}

// concerns reports whether the segment can matter to an attempt. It is asked for every segment.
func (t *Tracker) concerns(s *segment, hash uint64) bool {
	return s.Flags&t.notable != 0 || t.filter.has(hash)
}

// track takes a segment and says whether it may pass.
func (t *Tracker) track(s *segment, hash uint64, p *tcpdump.Packet, at time.Time) dropReason {
	sh := t.shard(hash)
	sh.mu.Lock()
	defer t.deliver(sh)

	f := sh.flows[s.key]
	if f != nil && f.answersChallenged(s) {
		t.takeChallenged(sh, f, at)
	}
	switch {
	case s.Flags&packet.RST != 0:
		return t.onRST(sh, f, s, p, at)
	case s.Flags&(packet.SYN|packet.ACK) == packet.SYN:
		return t.onSYN(sh, f, s, hash, p, at)
	case s.Flags&packet.SYN != 0:
		return t.onSYNACK(sh, f, s, hash, p, at)
	default:
		return t.onOther(sh, f, s, p, at)
	}
}
