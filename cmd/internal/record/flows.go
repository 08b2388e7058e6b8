package record

// Datagram is the record by which a flow without a handshake begins: the first datagram or echo
// request from one client socket to one destination, or a DNS query.
type Datagram struct {
	Header
	Proto string `json:"proto"` // udp, icmp
	Decided
	Tuple
	Named
	Length   int          `json:"length"` // bytes of payload
	DNS      *DNS         `json:"dns,omitempty"`
	QUIC     *QUIC        `json:"quic,omitempty"`
	Upstream *Destination `json:"upstream,omitempty"` // nil where it is not sent
	Program
	CommunityID string `json:"community_id"`
	Trailer
}

// Destination is the address to which the host's own socket sends.
type Destination struct {
	Remote string `json:"remote"`
}

// Flow is the record of a connection that is over, or of a flow without a handshake. Pointers are
// nil where the record has no such member.
type Flow struct {
	Header
	Proto        string `json:"proto"`                   // tcp, udp, icmp
	HandshakeSeq uint64 `json:"handshake_seq,omitempty"` // of the record by which it began
	DatagramSeq  uint64 `json:"datagram_seq,omitempty"`  // the same of udp and icmp
	Outcome      string `json:"outcome,omitempty"`       // of udp and icmp
	Tuple
	Named
	ClientISN       *uint32  `json:"client_isn,omitempty"` // of tcp
	ServerISN       *uint32  `json:"server_isn,omitempty"` // of tcp
	Duration        int64    `json:"duration_us"`
	OutboundPackets *uint64  `json:"outbound_packets,omitempty"` // of udp and icmp
	InboundPackets  *uint64  `json:"inbound_packets,omitempty"`  // of udp and icmp
	Outbound        uint64   `json:"outbound_bytes"`
	Inbound         uint64   `json:"inbound_bytes"`
	Retransmits     *uint64  `json:"retransmits,omitempty"` // of tcp
	ClosedBy        string   `json:"closed_by,omitempty"`   // of tcp: client, server, router
	Close           string   `json:"close,omitempty"`       // of tcp: fin, rst, timeout
	SNI             string   `json:"sni,omitempty"`
	ALPN            []string `json:"alpn,omitempty"`
	TLSVersion      string   `json:"tls_version,omitempty"`
	ECH             bool     `json:"ech,omitempty"`
	HTTPHost        string   `json:"http_host,omitempty"`
	NameConflict    bool     `json:"name_conflict,omitempty"`
	DNS             *DNS     `json:"dns,omitempty"`
	Program
	CommunityID string `json:"community_id"`
	Trailer
}

// DNS is what a DNS message says. A query has questions only.
type DNS struct {
	Queries []Question `json:"queries"`
	RCode   string     `json:"rcode,omitempty"`
	Answers []Answer   `json:"answers,omitzero"`
}

// Question is what a DNS query asks for.
type Question struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Answer is a resource record of a DNS response.
type Answer struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Data string `json:"data"`
	TTL  uint32 `json:"ttl"` // seconds
}

// QUIC is what the Initial packets of a QUIC client say.
type QUIC struct {
	Version string   `json:"version"`
	SNI     string   `json:"sni,omitempty"`
	ALPN    []string `json:"alpn,omitempty"`
	ECH     bool     `json:"ech,omitempty"`
}
