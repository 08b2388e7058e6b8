// Package inspect reads payloads: DNS messages, and the first bytes of a client (TLS, HTTP/1,
// QUIC). Its functions are pure. They keep no reference to the bytes, and allocate only for their
// results.
//
// # Bounds
//
// A peer can write anything, so each result is bounded: a host name to 255 bytes, the answers of a
// message to 64 records and 16 KiB of text, a client's first bytes to MaxClient. Text is printable
// ASCII. Other bytes are escaped as in RFC 1035 §5.1, so that they harm no log and no terminal.
//
// # No guesses
//
// A result is never a guess. The name in a ClientHello with ECH may be that of the client-facing
// server, and Hello.ECH says so. DNS over TLS or HTTPS looks like any other ClientHello.
//
// # Strict
//
// Client reads for records, and takes bytes for the protocol that they look like. A decision on a
// name has to know more: which bytes some server could take for a ClientHello or a request whose
// name is not read here. Strict allows for the leniency of servers in use. nginx accepts spaces
// behind the version of a request, and some servers a PROXY header before it. Both functions read
// TLS records as servers do: crypto/tls skips warnings before a ClientHello and accepts any version
// below 16.0; OpenSSL skips empty records.
//
// # Why not a library
//
// golang.org/x/net/dns/dnsmessage refuses a message with a dot in a label (golang/go#56246), which
// a log has to name, and has no presentation form. Libraries for QUIC and TLS do not export their
// parsers of Initial packets and ClientHellos. The tests compare with those libraries.
package inspect
