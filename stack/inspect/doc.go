// Package inspect reads what payloads say: DNS messages. Its functions are pure. They look at bytes
// that the router has anyway, keep none of them, and allocate only for what they find.
//
// # Bounds
//
// A peer can write anything, so each result has a bound: of a DNS message, 64 answers and 16 KiB of
// text. Text has printable ASCII only; other bytes are escaped as RFC 1035 §5.1 has it, so that
// they can hurt no log and no terminal.
//
// # Why no library
//
// golang.org/x/net/dns/dnsmessage refuses a message with a dot in a label (golang/go#56246), which
// a log has to name, and has no presentation form. The tests compare with it.
package inspect
