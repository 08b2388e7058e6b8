package flow

import "strconv"

// DNS is what a message says (RFC 1035 §4.1): a query, or a response with the question repeated.
// Names are in lower case without the final dot, escaped as in RFC 1035 §5.1.
type DNS struct {
	ID       uint16
	Response bool
	RCode    RCode
	Queries  []Question
	Answers  []Record // empty in a query
}

// Question is an entry of the question section.
type Question struct {
	Name string
	Type RRType
}

// Record is a resource record of the answer section.
type Record struct {
	Name string
	Type RRType
	TTL  uint32 // seconds
	Data string // in presentation form (RFC 1035 §5.1, RFC 9460 §2.1), without quotes for names and addresses
}

// RCode is the code of a response with the bits of EDNS (RFC 6895 §2.3).
type RCode uint16

// String returns the mnemonic of the code (IANA "Domain Name System (DNS) Parameters"), or "RCODE"
// and its number.
func (r RCode) String() string {
	if s, ok := rcodes[r]; ok {
		return s
	}
	return "RCODE" + strconv.Itoa(int(r))
}

var rcodes = map[RCode]string{
	0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
	6: "YXDOMAIN", 7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
	16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG",
	22: "BADTRUNC", 23: "BADCOOKIE",
}

// RRType is the type of a resource record.
type RRType uint16

// String returns the mnemonic of the type (IANA "Domain Name System (DNS) Parameters"), or "TYPE"
// and its number (RFC 3597 §5).
func (t RRType) String() string {
	if s, ok := rrTypes[t]; ok {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

var rrTypes = map[RRType]string{
	1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA",
	33: "SRV", 35: "NAPTR", 39: "DNAME", 41: "OPT", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC",
	48: "DNSKEY", 50: "NSEC3", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 250: "TSIG", 251: "IXFR",
	252: "AXFR", 255: "ANY", 257: "CAA",
}

// Hello is what a TLS ClientHello says (RFC 8446 §4.1.2).
type Hello struct {
	Version string   // highest that the client offers, such as "1.3"
	SNI     string   // lower case, without final dot; empty if absent (RFC 6066 §3)
	ALPN    []string // in the client's order (RFC 7301)
	ECH     bool     // there is an inner hello, so the SNI is not that of the server; or GREASE (RFC 9849 §6.2)
}

// QUIC is what the Initial packets of a client say (RFC 9001 §5.2).
type QUIC struct {
	Version string // "1" (RFC 9000), "2" (RFC 9369), else "0x" and eight hex digits
	Hello   *Hello // nil as long as the CRYPTO frames do not have it whole
}
