package handshake

import (
	"net/netip"
	"slices"
	"time"

	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

// Outcome is the verdict on one handshake.
type Outcome string

const (
	Established Outcome = "established" // all three steps seen
	Refused     Outcome = "refused"     // a RST answered the SYN
	Unreachable Outcome = "unreachable" // an ICMP error answered the SYN
	Denied      Outcome = "denied"      // policy forbade the destination
	Aborted     Outcome = "aborted"     // a RST after the SYN-ACK, or by the client before it
	NoReply     Outcome = "no_reply"    // the SYN got no answer
	HalfOpen    Outcome = "half_open"   // SYN-ACK, but no acceptable third segment
)

// outcomes holds all outcomes, in the order of the record's documentation.
var outcomes = [...]Outcome{Established, Refused, Unreachable, Denied, Aborted, NoReply, HalfOpen}

// NumOutcomes is the number of outcomes.
const NumOutcomes = len(outcomes)

// Code is the outcome's place in outcomes, from 1; 0 for none.
func (o Outcome) Code() uint8 {
	for i := range outcomes {
		if outcomes[i] == o {
			return uint8(i) + 1
		}
	}
	return 0
}

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return slices.Clone(outcomes[:]) }

// Side is one end of a handshake.
type Side string

const (
	Client Side = "client" // which sent the SYN
	Server Side = "server"
)

// Record is all that is known about one handshake at its verdict. It is the receiver's: the tracker
// keeps no reference.
type Record struct {
	Time      time.Time // of the first SYN
	Outcome   Outcome
	AbortedBy Side // with Aborted only

	Client, Server netip.AddrPort
	ClientISN      uint32
	ServerISN      uint32 // valid iff SYNACK is not nil or ISNFromData
	SYN            Offer
	SYNACK         *Offer // nil without a SYN-ACK

	SYNRetransmits    int
	SYNACKRetransmits int
	Simultaneous      bool
	ISNFromData       bool          // ServerISN is told by later segments: no SYN-ACK was captured
	Conflict          Conflict      // segments that do not fit, though it is established
	Copies            uint16        // of its segments, which a capture holds twice; at most 65535
	Answers           uint16        // RSTs and ICMP errors that repeat the first one; at most 65535
	SYNACKDelay       time.Duration // first SYN to SYN-ACK; negative if unknown or ambiguous
	ACKDelay          time.Duration // SYN-ACK to third segment; negative as above

	Segments []Segment // of the handshake, in the order seen, as they stand on the TUN
	Rewrites []Rewrite
	Upstream *flow.Upstream // of a live link
}

// Key returns the key of the handshake.
func (r *Record) Key() flow.Key {
	return flow.Key{Client: r.Client, Server: r.Server, ISN: r.ClientISN}
}

// KnowsServerISN reports whether ServerISN is valid.
func (r *Record) KnowsServerISN() bool { return r.SYNACK != nil || r.ISNFromData }

// Conflict is a set of kinds of segments that no receiver takes while a handshake is under way
// (RFC 5961 §3, §4): they may be forged.
type Conflict uint8

const (
	ConflictRST Conflict = 1 << iota // a RST
	ConflictSYN                      // a SYN with another number
)

// conflictWords are the words of records, by bit.
var conflictWords = [...]string{"rst", "syn"}

// Words returns the words of records for the kinds in the set.
func (c Conflict) Words() (words []string) {
	for i, word := range conflictWords {
		if c>>i&1 != 0 {
			words = append(words, word)
		}
	}
	return words
}

// Offer is the content of one side's SYN or SYN-ACK. Pointers are nil if the option is absent.
type Offer struct {
	Window    uint16 // in bytes, unscaled
	MSS       *uint16
	WScale    *uint8
	SACKOK    bool
	Timestamp *uint32 // TSval
	DF        bool    // IPv4 only
	TTL       uint8   // hop limit for IPv6
	ECN       bool    // ECE and CWR on the SYN, ECE without CWR on the SYN-ACK (RFC 3168 §6.1.1)
}

// MaxHeaders bounds the bytes of a segment that a record keeps.
const MaxHeaders = 512

// Segment is one segment of a handshake.
type Segment struct {
	Time       time.Time
	Packet     tcpdump.Packet // its headers, at most MaxHeaders bytes; own memory
	FromClient bool
	TCP        uint16 // offset of the TCP header, which may lie behind the bytes that are kept
	Payload    uint32 // bytes behind the TCP header
}

// Header returns the TCP header with as many of its options as are kept; nil if the header lies
// behind the bytes that are kept.
func (s *Segment) Header() []byte {
	const least = 20 // bytes without options (RFC 9293 §3.1)
	b := s.Packet.Data[min(int(s.TCP), len(s.Packet.Data)):]
	if len(b) < least {
		return nil
	}
	return b[:max(least, min(len(b), int(b[12]>>4)*4))]
}

// Rewrite is one change that a rule made to a segment.
type Rewrite struct {
	Packet   string // "syn", "synack", "ack" or "rst"
	What     string // "mss" or "df"
	From, To string
	Rule     int // number of the rule, from 1
}
