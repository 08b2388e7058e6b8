package record

import "time"

// Finding is the record of a fault that the router has found by itself. Its numbers are sizes of IP
// packets in bytes.
type Finding struct {
	Header
	Kind       FindingKind `json:"kind"`
	Confidence Confidence  `json:"confidence"`
	Family     int         `json:"family,omitempty"` // 4 or 6, of Dst
	Leg        Leg         `json:"leg,omitempty"`    // with Dst at its end; "" = that of a server
	Proto      string      `json:"proto,omitempty"`  // of flows to Dst that are unrecorded
	Dst        string      `json:"dst,omitempty"`    // an address, or a prefix of several
	DPort      uint16      `json:"dport,omitempty"`  // of such flows
	Name       string      `json:"name,omitempty"`   // by which a client knows Dst; of queries, the domain
	Direction  string      `json:"direction,omitempty"`
	Passes     int         `json:"passes,omitempty"` // the longest packet known to pass
	Fails      int         `json:"fails,omitempty"`  // the shortest known not to
	Flows      int         `json:"flows"`            // connections, or queries, that show it
	Clamp      int         `json:"clamp,omitempty"`  // the MSS that cures it
	Applied    bool        `json:"applied"`          // new connections are cured; queries are refused
	Expires    time.Time   `json:"expires,omitzero"`
	Stalls     []Stall     `json:"stalls,omitempty"` // the evidence, of the last connections
	Trailer
}

// FindingKind is the kind of fault that was found.
type FindingKind string

// The values of [FindingKind].
const (
	BlackHole FindingKind = "black_hole" // long packets vanish on the path, without an ICMP error
	DNSTunnel FindingKind = "dns_tunnel" // DNS queries for names of a domain may carry data out

	// Of the keeper.
	InvalidRecord FindingKind = "invalid_record" // the router has sent what is no record
	Unrecorded    FindingKind = "unrecorded"     // the router has sent flows that are on no record
)

// Confidence says how sure a finding is.
type Confidence string

// The values of [Confidence].
const (
	Medium Confidence = "medium" // several connections, or queries, agree
	High   Confidence = "high"   // a measurement of the router's own has confirmed it
)

// Leg is one of the two legs of connections.
type Leg string

// ClientLeg is the leg between client and router.
const ClientLeg Leg = "client"

// Stall is the state of a connection's host socket that makes no progress, as TCP_INFO has it
// (Linux, include/uapi/linux/tcp.h). Of the client's leg it is that of netstack.
type Stall struct {
	Src         string `json:"src"`
	SPort       uint16 `json:"sport"`
	Dst         string `json:"dst"`
	DPort       uint16 `json:"dport"`
	Silent      int64  `json:"stalled_us"`                // without a byte in either direction
	SndMSS      uint32 `json:"snd_mss"`                   // payload of a full segment to the server
	RcvMSS      uint32 `json:"rcv_mss"`                   // payload of the longest segment from it
	Unacked     uint32 `json:"unacked"`                   // segments
	Sacked      uint32 `json:"sacked"`                    // segments
	Backoff     uint32 `json:"backoff"`                   // retransmission timeouts in a row
	Retransmits uint32 `json:"retransmits"`               // of the connection
	OutOfOrder  uint32 `json:"out_of_order"`              // segments that came behind a hole
	Acked       uint64 `json:"outbound_acked"`            // bytes
	Received    uint64 `json:"inbound_in_order"`          // bytes
	Missing     uint64 `json:"inbound_missing,omitempty"` // bytes at least; 0 = unknown
}

// Finding appends the record of a finding.
func (w *Writer) Finding(dst []byte, seq uint64, f *Finding) []byte {
	from := w.begin(dst, f.Time, `","level":"warning","msg":"finding","seq":`, seq)
	o := &w.o
	o.string(`,"kind":`, string(f.Kind))
	o.string(`,"confidence":`, string(f.Confidence))
	o.some(`,"family":`, f.Family)
	o.known(`,"leg":`, string(f.Leg))
	o.known(`,"proto":`, f.Proto)
	o.known(`,"dst":`, f.Dst)
	o.some(`,"dport":`, int(f.DPort))
	o.known(`,"name":`, f.Name)
	o.known(`,"direction":`, f.Direction)
	o.some(`,"passes":`, f.Passes)
	o.some(`,"fails":`, f.Fails)
	o.uint(`,"flows":`, uint64(f.Flows))
	o.some(`,"clamp":`, f.Clamp)
	o.bool(`,"applied":`, f.Applied)
	if !f.Expires.IsZero() {
		w.time(`,"expires":"`, f.Expires)
	}
	o.stalls(f.Stalls)
	return w.end(from)
}

// some writes no member for 0.
func (o *object) some(key string, value int) {
	if value != 0 {
		o.int(key, int64(value))
	}
}

func (o *object) stalls(all []Stall) {
	key := `,"stalls":[{"src":`
	for i := range all {
		s := &all[i]
		o.string(key, s.Src)
		o.uint(`,"sport":`, uint64(s.SPort))
		o.string(`,"dst":`, s.Dst)
		o.uint(`,"dport":`, uint64(s.DPort))
		o.int(`,"stalled_us":`, s.Silent)
		for _, n := range []struct {
			key   string
			value uint32
		}{
			{`,"snd_mss":`, s.SndMSS},
			{`,"rcv_mss":`, s.RcvMSS},
			{`,"unacked":`, s.Unacked},
			{`,"sacked":`, s.Sacked},
			{`,"backoff":`, s.Backoff},
			{`,"retransmits":`, s.Retransmits},
			{`,"out_of_order":`, s.OutOfOrder},
		} {
			o.uint(n.key, uint64(n.value))
		}
		o.uint(`,"outbound_acked":`, s.Acked)
		o.uint(`,"inbound_in_order":`, s.Received)
		if s.Missing > 0 {
			o.uint(`,"inbound_missing":`, s.Missing)
		}
		o.raw(`}`)
		key = `,{"src":`
	}
	if len(all) > 0 {
		o.raw(`]`)
	}
}
