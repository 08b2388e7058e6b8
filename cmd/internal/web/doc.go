// Package web shows a running router to people and programs: a live page, a JSON API and Prometheus
// metrics, on a TCP port or a Unix socket. It only ever reads.
//
// # Theory of operation
//
//	keeper ── last records (package recent) ──▶ /api/handshakes, /api/flows   on request
//	                                        ╰──▶ /api/events, /api/connections
//	                                             each subscriber by itself, every 200 ms
//	router ── histograms ──╮
//	router ── Counters ────┴── Figures ──▶ /metrics, /api/status
//
// A [Server] is in a process of its own (process_linux.go), which the keeper starts, and gives up
// all rights but to accept connections and to answer. It reads the records, and asks for the
// figures, when it is asked for them: records from memory that the keeper writes, figures by a
// [Remote], which asks the keeper, which asks the router. [Figures] are in the router; they add to
// a few atomic counters on the packet path.
//
// One list has the records by which connections and flows begin and end, another the handshakes
// among them. Records are numbered from 1 by "seq", each type by itself; the record of an end names
// that of its opening (handshake_seq, datagram_seq), as in a log.
//
// A list is also the queue of its subscribers: of handshakes (/api/events) and of connections
// (/api/connections). A subscriber is no more than a position in it, which is the id of an event:
// a browser that connects again continues where it was. So the memory that it can hold is bounded:
// one that falls behind by more than the list gets the number of records it has missed ("event:
// lost") and continues with the oldest there is. One that does not read is dropped when a write has
// waited for timeouts.event.
//
// After a restart the lists begin with the last records of the JSON log, which get numbers of this
// run. A connection of an earlier run whose end is not among them is over, and how is
// unknown.
//
// # Filters
//
// The server judges connections by the parameter filter, in the grammar of package filter, of which
// there is one implementation. A subscriber of /api/connections gets the opening of a connection
// when it matches, and then its end; if it matches only by its end, both; and if it does not match
// any more, "event: gone" with the type and number of the opening. An error says where the filter
// is wrong.
//
// The metrics are made from a snapshot for each request, but for the histograms. Their labels come
// from fixed sets of words, and the names of error numbers: no packet can add a series.
//
// # The live page
//
// page/ holds the page as browsers get it: modules without a build step and without dependencies.
// stream.js follows the connections of a filter; store.js keeps the last of them, figures.js counts
// all that have come, in stretches of time. table.js and charts.js draw from both, four times a
// second whatever the rate, and less often where that takes long; columns.js says which members of
// a connection, or of a group of them, the table has. ladder.js draws one connection. terms.js
// edits the text of the filter, whose meaning only the server knows. main.js ties them together and
// keeps the address up to date. Values of records reach the document as text only, and without
// characters that hide or turn text around.
//
// # The fleet
//
// /fleet is a page of its own: fleet.js lists the routers that /api/fleet has, which the keeper
// asks the fleet's stores for. One question is under way at a time, and its answer is kept for
// seconds.
//
// # Access
//
// Requests change nothing, so the danger is a reader without permission: a web page in the browser
// of a user with permission, by a name that resolves to this address (DNS rebinding) or from
// another origin. So a request is refused unless its Host is the literal address it has come to, or
// localhost, and if the browser says that another site has made it. No answer may be read by other
// origins (no CORS), be framed, or load anything from elsewhere (Content-Security-Policy). Only GET
// and HEAD are served, and no request may have a body. A Unix socket is for its owner and group
// (mode 0660).
//
// # Fairness
//
// No peer keeps others out. All connections are accepted at once; when a peer has too many, or all
// together are, the oldest connection of the peer that has the most is closed (crowd.go). So half
// requests, and answers that are not read, push out each other, and /metrics and /healthz are
// always answered. Subscribers count by themselves: a peer has some places and is refused more, and
// when all are taken, one of the peer that has the most ends. A peer is an address, of IPv6 64 bits
// of it, and on a Unix socket a user. Header sizes and all times are limited, too: see the
// constants in server.go.
package web
