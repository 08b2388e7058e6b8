package format

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// Type is the type of a record, the member msg.
type Type uint8

// The values of [Type].
const (
	Other Type = iota // unknown to this version
	Handshake
	Datagram
	Flow
	Finding
	Gap
	End
)

// String returns the member msg; it is empty for Other.
func (t Type) String() string {
	return [...]string{"", "handshake", "datagram", "flow", "finding", "gap", "end"}[t]
}

// Record is one record of a log with the members that formats need. Members that a type does not
// have, and unknown ones, are zero; a duration is negative where it is unknown.
type Record struct {
	Type    Type
	Time    time.Time // when a handshake or datagram began, when a flow was over; else of the record
	Seq     uint64    // its number in a JSON log; 0 = none
	Opening uint64    // of a flow: the number of the record by which it began; 0 = unknown
	RunID   string
	Host    string

	Proto          flow.Proto
	Client, Server netip.AddrPort // of an echo, its identifier and 0
	Outcome        string         // the verdict on a handshake, or on a flow without one
	AbortedBy      string
	Verdict        string // allow, deny
	Rule, Reason   string // of the verdict
	Name           string // by which the client knows the server
	NameSource     string
	Names          []string // other candidates
	NameConflict   bool
	Owner          Owner

	// Of a handshake.
	ClientISN                         uint32 // of a flow too
	SYNACKDelay, ACKDelay             time.Duration
	SYNRetransmits, SYNACKRetransmits int
	Simultaneous                      bool
	History                           string        // as Zeek writes it
	Last                              time.Duration // from Time to the last segment
	Rewrites                          []Rewrite
	Upstream                          Upstream // of a datagram too

	// Of a datagram and of a flow.
	Length      int // payload of the first datagram, in bytes
	QUIC        string
	SNI         string
	ALPN        []string
	TLSVersion  string
	ECH         bool
	HTTPHost    string
	DNS         bool // there is a query
	Queries     []Question
	RCode       string // mnemonic; empty without a response
	Answers     []Answer
	Duration    time.Duration
	Bytes       Traffic
	Packets     Traffic // without a handshake only
	Retransmits uint64
	ClosedBy    string
	Close       string

	Finding *record.Finding
	Gap     *record.Gap
	End     *record.End

	uid [uidLength]byte
}

// Owner is the process of a client on this host.
type Owner struct {
	Known     bool
	UID       uint32
	User      string
	PID       int // 0 = unknown
	Process   string
	Exe       string
	Unit      string
	Container string
}

// Rewrite is a change that a rule has made to a segment.
type Rewrite struct {
	Packet, What, From, To string
	Rule                   int
}

// Upstream is the host's own socket.
type Upstream struct {
	Known         bool
	Local, Remote netip.AddrPort
	Dial          time.Duration
	MSS           int
	Error         string
}

// Question is an entry of the question section of a DNS message.
type Question struct{ Name, Type string }

// Answer is a resource record of a DNS response.
type Answer struct {
	Name, Type, Data string
	TTL              uint32
}

// Traffic is a number in each direction.
type Traffic struct{ Outbound, Inbound uint64 }

// Live reports whether the record is of a running router, not of a capture.
func (r *Record) Live() bool {
	return r.RunID != "" || r.Verdict != "" || r.Upstream.Known || r.Denied()
}

// OfNoConnection reports whether the record is about the log or the network, not a connection.
func (r *Record) OfNoConnection() bool {
	return r.Type == Finding || r.Type == Gap || r.Type == End
}

// Denied reports whether policy forbade the destination.
func (r *Record) Denied() bool { return r.Outcome == "denied" || r.Verdict == "deny" }

// GoesOn reports whether an opening is followed by a flow. Those of captures are not.
func (r *Record) GoesOn() bool {
	switch {
	case !r.Live() && r.RunID == "" || r.Denied():
		return false
	case r.Type == Datagram:
		return true
	}
	return r.Outcome == "established"
}

// Start returns when the connection began.
func (r *Record) Start() time.Time {
	if r.Type == Flow {
		return r.Time.Add(-r.Duration)
	}
	return r.Time
}

// uidLength is the length of a uid: 95 bits, as many as Zeek's have.
const uidLength = 17

// UID returns a name of the connection in Zeek's form, "C" and 16 letters or digits. It is the same
// for the record of its beginning and that of its end.
func (r *Record) UID() []byte {
	var buf [64]byte
	b := append(buf[:0], byte(r.Proto))
	for _, end := range [...]netip.AddrPort{r.Client, r.Server} {
		address := end.Addr().As16()
		b = binary.BigEndian.AppendUint16(append(b, address[:]...), end.Port())
	}
	if r.Proto == flow.TCP {
		b = binary.BigEndian.AppendUint32(b, r.ClientISN)
	} else {
		b = binary.BigEndian.AppendUint64(b, uint64(r.Start().UnixMicro()))
		for _, q := range r.Queries[:min(1, len(r.Queries))] { // several queries may come at once
			b = append(append(append(b, q.Name...), ' '), q.Type...)
		}
	}
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256(b)
	r.uid[0] = 'C'
	for i, n := 1, uint64(0); i < len(r.uid); i++ {
		if i%8 == 1 { // eight digits of each half
			n = binary.BigEndian.Uint64(sum[i-1:])
		}
		r.uid[i] = digits[n%62]
		n /= 62
	}
	return r.uid[:]
}

// number returns the number of the protocol (IANA "Assigned Internet Protocol Numbers").
func (r *Record) number() uint64 {
	switch {
	case r.Proto == flow.TCP:
		return 6
	case r.Proto == flow.UDP:
		return 17
	case r.Client.Addr().Is4():
		return 1
	}
	return 58
}

// transport returns the protocol in lower case, like its String, which allocates.
func (r *Record) transport() string {
	switch r.Proto {
	case flow.UDP:
		return "udp"
	case flow.ICMP:
		return "icmp"
	case flow.TCP:
	}
	return "tcp"
}

// hostname returns the name of the server: the one that the client knows it by, else the one that
// the client's first bytes give.
func (r *Record) hostname() string {
	switch {
	case r.Name != "":
		return r.Name
	case r.SNI != "" && !r.ECH:
		return r.SNI
	}
	return r.HTTPHost
}

// application returns the protocol that the payload has shown: dns, quic, tls or http.
func (r *Record) application() string {
	switch {
	case r.DNS:
		return "dns"
	case r.QUIC != "", r.Proto == flow.UDP && r.TLSVersion != "":
		return "quic"
	case r.TLSVersion != "":
		return "tls"
	case r.HTTPHost != "":
		return "http"
	}
	return ""
}
