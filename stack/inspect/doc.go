// Package inspect reads payloads: DNS messages, and the first bytes of a client (TLS,
// HTTP/1, QUIC). Its functions are pure. They look at bytes that the router has anyway, keep none
// of them, and allocate only for their results.
//
// # Bounds
//
// A peer can write anything, so each result has a bound: a host name 255 bytes, the answers of a
// message 64 records and 16 KiB of text, a client's first bytes MaxClient. Text has printable ASCII
// only; other bytes are escaped as RFC 1035 §5.1 has it, so that they can hurt no log and no
// terminal.
//
// # Not told
//
// A result is never a guess. The name in a ClientHello with ECH may be that of the client-facing
// server, and Hello.ECH says so; DNS over TLS or HTTPS is a ClientHello like any other.
//
// # Strict
//
// Client reads for records, and takes bytes for what they should be. A decision on a name has to
// know more: which bytes any server may take for a ClientHello or a request, with a name that is
// not read here. Strict says so by the leniency of servers in use: nginx takes spaces behind the
// version of a request, and some take a PROXY header before it. Records of TLS are read by that for
// both: crypto/tls skips warnings before a ClientHello, and takes any version below 16.0; OpenSSL
// skips empty records.
//
// # Why no library
//
// golang.org/x/net/dns/dnsmessage refuses a message with a dot in a label (golang/go#56246), which
// a log has to name, and has no presentation form. Libraries for QUIC and TLS do not offer their
// parsers of Initial packets and ClientHellos. The tests compare with those libraries.
package inspect
