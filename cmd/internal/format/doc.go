// Package format writes the records of a log in the formats of other programs, and as lines for
// people.
//
//	record.Attributed, … (live)  ─┐
//	                              ├─▶ Record ─▶ OCSF, ECS              one event a record
//	a line of a JSON log ─────────┘      └────▶ Zeek, CSV, Line        one line a connection
//
// A [Record] has the members that some format needs. A sink fills it from the router's own types
// (FromHandshake and similar functions), and "syntap log" from JSON ([Decoder]); a test compares
// the two. The formats append text and keep only memory for reuse, so each serves one goroutine at
// a time. Only [ZeekLog], for sinks, remembers open connections.
//
// # Sources
//
//	OCSF   Network Activity 4001 and Detection Finding 2004 of version 1.8.0, schema.ocsf.io/1.8.0
//	Zeek   scripts/base/protocols/conn/main.zeek and policy/protocols/conn/community-id-logging.zeek
//	       of zeek/zeek a13de64 (9.1.0-dev)
//	ECS    generated/csv/fields.csv of elastic/ecs v9.4.0
//	CSV    RFC 4180
//
// Package formattest has the relevant parts of these schemas, and checks lines against them.
// configs/records.md has the mapping for people.
//
// # Identity
//
// A connection has the same uid in each format ([Record.UID]): a hash of protocol, ends and the
// client's initial sequence number or, without a handshake, the time of the first datagram. So the
// records of its beginning and end can be joined without the numbers that only JSON logs have.
//
// # Text from outside
//
// Names, paths and everything in payloads come from others. In JSON all but printable ASCII is
// escaped (record.AppendString). In CSV and lines it is made printable (terminal.Clean). In CSV, a
// text that a spreadsheet would take for a formula is prefixed with an apostrophe.
package format
