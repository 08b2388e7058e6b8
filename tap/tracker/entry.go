package tracker

import (
	"net/netip"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker/tuple"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// State is the state of a flow in the table.
type State uint8

const (
	StateNone        State = iota // not in the table
	StateSYNSent                  // a handshake without an answer
	StateSYNReceived              // a handshake with a SYN-ACK
	StateEstablished              // a connection that has not closed
	StateClosed                   // a handshake has failed, and the client knows
	StateUnanswered               // for wrappers: as StateClosed, but the client does not know
	StateHeld                     // for wrappers: no handshake, and none may complete
	StateSettling                 // for captures: a verdict that later segments may change
	StateEarly                    // for captures: segments that may be ahead of their SYN
	States                        // their number
)

// Watched reports whether flows in the state need a look at each of their segments.
func (s State) Watched() bool {
	switch s {
	case StateSYNSent, StateSYNReceived, StateUnanswered, StateHeld, StateSettling, StateEarly:
		return true
	default:
		return false
	}
}

// Counted reports whether flows in the state count as handshakes or connections.
func (s State) Counted() bool {
	return s == StateSYNSent || s == StateSYNReceived || s == StateHeld || s == StateEstablished
}

// Hold is a wrapper's memory of a flow. The tracker does not read it.
type Hold struct {
	Phase uint8
	Local bool
	Next  uint32
}

// Entry is a flow in the table.
type Entry struct {
	key        tuple.Key
	hash       uint64
	state      State
	closed     uint8    // if established: bit 0 if end a has sent FIN, bit 1 for end b
	gone       bool     // with a tentative handshake: the connection underneath has ended
	outcome    uint8    // code of the outcome of the last handshake that has ended; 0 if none has
	hs         *tracked // if SYN sent or received
	challenged *tracked // of a SYN with another number since SYN received; tentative
	iss        uint32   // of the last handshake that has ended
	deadline   time.Time
	past       *past // of a capture; nil while there is nothing in it

	Hold Hold

	prev, next *Entry // in the shard's list of the state, by deadline
}

// State returns the flow's state.
func (e *Entry) State() State { return e.state }

// Client returns end a of the flow, which is the client on a live link.
func (e *Entry) Client() netip.AddrPort {
	a, _ := e.key.Ends()
	return a
}

// InHandshake reports whether the flow has a handshake without a verdict.
func (e *Entry) InHandshake() bool { return e.hs != nil }

// Tentative reports whether the flow has a handshake that counts only if its SYN is answered as a
// new one: the flow's connection is open.
func (e *Entry) Tentative() bool { return e.hs != nil && e.hs.tentative }

// ISN returns the client's number of the handshake, or of the last one that has ended.
func (e *Entry) ISN() uint32 {
	if e.hs != nil {
		return e.hs.iss
	}
	return e.iss
}

// LastISN returns the client's number of the last handshake that has ended.
func (e *Entry) LastISN() uint32 { return e.iss }

// HasRecord reports whether the SYN with a number has its record, of a handshake that has failed.
func (e *Entry) HasRecord(isn uint32) bool {
	switch e.outcome {
	case 0, handshake.Established.Code(), handshake.Aborted.Code():
		return false
	}
	return e.iss == isn
}

// Established reports whether the SYN with a number has opened the flow's connection.
func (e *Entry) Established(isn uint32) bool {
	return e.state == StateEstablished && e.outcome == handshake.Established.Code() && e.iss == isn
}

// Challenged reports whether the flow has a challenged SYN with a number.
func (e *Entry) Challenged(isn uint32) bool {
	return e.challenged != nil && e.challenged.iss == isn
}

// Acknowledges reports whether p acknowledges the SYN of the flow's handshake.
func (e *Entry) Acknowledges(p *tuple.Packet) bool { return e.hs.acksClient(p) }

// EndConnection notes that the connection under a tentative handshake has ended.
func (e *Entry) EndConnection() { e.gone = true }

// SetUpstream puts the router's socket into the record of the flow's handshake.
func (e *Entry) SetUpstream(u flow.Upstream) {
	e.hs.upstream = u
	e.hs.rec.Upstream = &e.hs.upstream
}

// LacksTimestamp reports whether p misses the option that SYN and SYN-ACK of the flow's handshake
// agreed on. A stack drops such a segment (RFC 7323 §3.2).
func (e *Entry) LacksTimestamp(p *tuple.Packet, seen *tcpdump.Packet) bool {
	if e.hs.rec.SYN.Timestamp == nil || e.hs.synack.Timestamp == nil {
		return false
	}
	var o handshake.Offer
	o.Read(&handshake.OptionMemory{}, p.Headers, seen.Data)
	return o.Timestamp == nil
}

// Linger returns the state of a flow whose handshake has failed: StateClosed if its SYN may come
// again for the same connect, else StateNone.
func (e *Entry) Linger(o handshake.Outcome) State {
	switch {
	case o == handshake.Refused, o == handshake.Unreachable, o == handshake.HalfOpen,
		e.challenged != nil:
		return StateClosed
	}
	return StateNone
}

// challenge takes a SYN with another number while the server waits for the third segment. The
// server answers it with an ACK, whatever its number is, and the client resets the first handshake
// if it has given that up (RFC 5961 §4). Until then nothing has changed.
func (e *Entry) challenge(p *tuple.Packet, seen *tcpdump.Packet, at time.Time) {
	if e.Challenged(p.Seq) {
		e.challenged.repeatSYN(p, seen)
	} else {
		e.challenged = newTracked(p, seen, at)
		e.challenged.tentative = true
	}
	e.hs.rec.Conflict |= handshake.ConflictSYN
	e.challenged.show(p, seen, at)
}

// answersChallenged reports whether a segment of the server answers the challenged SYN after all:
// the server has forgotten the first one.
func (e *Entry) answersChallenged(p *tuple.Packet) bool {
	h := e.challenged
	return h != nil && p.Flags&(packet.SYN|packet.RST) != 0 && !h.fromClient(p) &&
		h.acksClient(p) && !(e.hs != nil && e.hs.acksClient(p))
}
