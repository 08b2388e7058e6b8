package record

import (
	"encoding/json"
	"strconv"
	"time"
)

// Header has the first members of each record.
type Header struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Msg   string    `json:"msg"`
	Seq   uint64    `json:"seq"` // gap-free within one log
	RunID string    `json:"run_id,omitempty"`
	Host  string    `json:"host,omitempty"` // the host's name
}

// Trailer has the last members of a record in a chained log.
type Trailer struct {
	Prev string `json:"prev,omitempty"` // hash of the record before
	Hash string `json:"hash,omitempty"` // of this record up to the comma before the member
}

// Tuple is the two ends of a connection or flow, the client first. Of echo requests SPort is the
// identifier and DPort 0.
type Tuple struct {
	Family int    `json:"family"` // 4 or 6
	Src    string `json:"src"`
	SPort  uint16 `json:"sport"`
	Dst    string `json:"dst"`
	DPort  uint16 `json:"dport"`
}

// Decided is the decision of policy, where it was asked.
type Decided struct {
	Verdict string `json:"verdict,omitempty"` // allow, deny
	Rule    string `json:"rule,omitempty"`    // its place in the config; "default" where none decided
	Reason  string `json:"reason,omitempty"`  // of a denial, one sentence
}

// Named is the name by which the client knew the address of the server.
type Named struct {
	Name   string   `json:"name,omitempty"`
	Source string   `json:"name_source,omitempty"` // dns, hosts, virtual
	Names  []string `json:"names,omitempty"`       // other candidates
}

// Program has the members of a record about its client's program; see [Owner].
type Program struct {
	UID       *uint32 `json:"uid,omitempty"`
	User      string  `json:"user,omitempty"`
	PID       int     `json:"pid,omitempty"`
	Process   string  `json:"process,omitempty"`
	Exe       string  `json:"exe,omitempty"`
	Unit      string  `json:"unit,omitempty"`
	Container string  `json:"container,omitempty"`
}

// Handshake is the record of an attempt to open a connection. Pointers are nil where the record has
// no such member.
type Handshake struct {
	Header
	Proto     string `json:"proto"` // tcp
	Outcome   string `json:"outcome"`
	AbortedBy string `json:"aborted_by,omitempty"`
	Decided
	Tuple
	Named
	ClientISN         uint32    `json:"client_isn"`
	ServerISN         *uint32   `json:"server_isn,omitempty"`
	Client            *Offer    `json:"client"`
	Server            *Offer    `json:"server,omitempty"`
	SYNRetransmits    int       `json:"syn_retransmits"`
	SYNACKRetransmits int       `json:"synack_retransmits"`
	Simultaneous      bool      `json:"simultaneous"`
	Copies            int       `json:"copies,omitempty"`
	Answers           int       `json:"answers,omitempty"`
	Conflict          []string  `json:"conflict,omitempty"`
	SYNACK            *int64    `json:"synack_us,omitempty"` // SYN to SYN-ACK
	ACK               *int64    `json:"ack_us,omitempty"`    // SYN-ACK to third segment
	Lines             []string  `json:"lines"`               // the segments as tcpdump prints them
	Segments          []Segment `json:"segments"`
	Rewrites          []Rewrite `json:"rewrites"`
	Upstream          *Upstream `json:"upstream,omitempty"`
	Program
	CommunityID string `json:"community_id"`
	Trailer
}

// Offer is the announcement of one side in its SYN or SYN-ACK.
type Offer struct {
	Win    uint16  `json:"win"`
	MSS    *uint16 `json:"mss,omitempty"`
	WScale *uint8  `json:"wscale,omitempty"`
	SACKOK bool    `json:"sack_ok,omitempty"`
	TS     *uint32 `json:"ts,omitempty"`
	DF     *bool   `json:"df,omitempty"` // IPv4 only
	TTL    uint8   `json:"ttl"`
	ECN    bool    `json:"ecn"`
}

// Rewrite is a change that a rule has made to a segment.
type Rewrite struct {
	Packet string `json:"packet"`         // syn, synack, ack, rst
	What   string `json:"what"`           // mss, df
	From   Value  `json:"from,omitempty"` // absent where the rule has added the option
	To     Value  `json:"to"`
	Rule   int    `json:"rule"` // its number, from 1
}

// Value is the former or the new value of a rewrite: an MSS in bytes, a number in JSON, or a word
// of the DF bit, "set" or "clear". Earlier versions wrote numbers as strings, which are read too.
type Value string

// MarshalJSON writes a number as such.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.isNumber() {
		return []byte(v), nil
	}
	return json.Marshal(string(v))
}

// UnmarshalJSON reads a number or a string.
func (v *Value) UnmarshalJSON(b []byte) error {
	var number json.Number
	if err := json.Unmarshal(b, &number); err == nil {
		*v = Value(number)
		return nil
	}
	return json.Unmarshal(b, (*string)(v))
}

func (v Value) isNumber() bool {
	n, err := strconv.ParseUint(string(v), 10, 32)
	return err == nil && strconv.FormatUint(n, 10) == string(v)
}

// Upstream is the host's socket to the far side.
type Upstream struct {
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"` // empty where the SYN was dropped before a dial
	Dial   int64  `json:"dial_us"`
	MSS    int    `json:"mss,omitempty"`   // where a rule has set it
	Error  string `json:"error,omitempty"` // errno name such as ECONNREFUSED
}

// Gap is the record of missing records: not written, prevented, or no longer in the log. Its reason
// determines which numbers it has.
type Gap struct {
	Header
	From    time.Time `json:"from"` // of the first of them; of those that are not there any more, when that was found
	To      time.Time `json:"to"`   // of the last of them
	Lost    uint64    `json:"lost,omitempty"`
	Refused uint64    `json:"refused,omitempty"` // SYNs and datagrams kept out
	First   uint64    `json:"first,omitempty"`   // seq of records that were in the log; 0 = not known
	Last    uint64    `json:"last,omitempty"`
	Reason  GapReason `json:"reason"`
	Trailer
}

// GapReason says why records are missing.
type GapReason string

// The values of [GapReason].
const (
	QueueFull  GapReason = "queue_full"  // the sinks were too slow
	WriteError GapReason = "write_error" // the sink's file could not be written
	Suspended  GapReason = "suspended"   // new connections were kept out until records could be written again

	FleetFull GapReason = "fleet_full" // the oldest files go, and a store lacks their records (fleet.spool)

	// Of chained logs only. The first is in order, the others were found at a start.
	Rotated     GapReason = "rotated"      // rotation removes the oldest files (max_files)
	Cut         GapReason = "cut"          // the log ended before its head
	Altered     GapReason = "altered"      // the log had another record than its head says
	HeadMissing GapReason = "head_missing" // the log had no head
)

// End is the last record of a run that ends in order.
type End struct {
	Header
	Records Counts  `json:"records"` // that this run has written to the log
	Frames  *Frames `json:"frames,omitempty"`
	Trailer
}

// Counts is numbers of records by type.
type Counts struct {
	Handshake uint64 `json:"handshake"`
	Datagram  uint64 `json:"datagram"`
	Flow      uint64 `json:"flow"`
	Finding   uint64 `json:"finding,omitempty"` // absent in logs of version 2.0, which have none
	Gap       uint64 `json:"gap"`
}

// Frames counts the frames that came out of the TUN.
type Frames struct {
	Read      uint64 `json:"read"`
	Accounted uint64 `json:"accounted"` // handed on, or dropped and counted
	// Died had been read by routers that died, and so counted nothing.
	Died uint64 `json:"died,omitempty"`
}
