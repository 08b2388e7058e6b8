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
// The keeper starts a process for this (process_linux.go), which gives up all rights but to accept
// connections and to answer. Its [Server] looks for records and figures when a visitor asks for
// them. It reads the records from memory that the keeper writes. For figures its [Remote] asks the
// keeper, which asks the router. [Figures] are in the router, and add to a few atomic counters on
// the packet path.
//
// One list has the records by which connections and flows begin and end, another the handshakes
// among them. "seq" numbers the records from 1, each type by itself. The record of an end names
// that of its opening (handshake_seq, datagram_seq), as in a log.
//
// A list is also the queue of its subscribers: of handshakes (/api/events) and of connections
// (/api/connections). A subscriber is no more than a position in it, so the memory that it holds is
// bounded. The position is the id of an event: a browser that connects again continues where it
// was. A subscriber that falls behind by more than the list gets the number of records that it has
// missed ("event: lost"), and continues with the oldest. One that does not read is dropped when a
// write has waited for timeouts.event.
//
// After a restart the lists begin with the last records of the JSON log, which get numbers of this
// run. A connection of an earlier run whose end is not among them is over; how it ended is unknown.
//
// # Filters
//
// The server judges connections by the parameter filter, in the grammar of package filter. A
// subscriber of /api/connections gets the opening of a connection when that matches, and then the
// end. If the connection matches only by its end, it gets both. If the connection does not match
// any more, it gets "event: gone" with the type and number of the opening. An error says where the
// filter is wrong.
//
// # Metrics
//
// They are made from a snapshot for each request, but for the histograms. Their labels come from
// fixed sets of words, and the names of error numbers: no packet can add a series.
//
// # The live page
//
// page/ holds the page as browsers get it: modules without a build step and without dependencies.
// stream.js follows the connections of a filter. store.js keeps the last of them. figures.js counts
// all that have come, in stretches of time. table.js and charts.js draw from both, four times a
// second whatever the rate, and less often where that takes long. columns.js says which members of
// a connection, or of a group of them, the table has. ladder.js draws one connection. terms.js
// edits the text of the filter, whose meaning only the server knows. main.js ties them together and
// keeps the address up to date.
//
// Values of records reach the document as text only, and without characters that hide text or turn
// it around.
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
// of a user with permission, which comes by a name that resolves to this address (DNS rebinding),
// or from another origin. So a request is refused unless its Host is localhost or the literal
// address to which it has come. It is also refused if the browser says that another site has made
// it. Other origins may read no answer (no CORS). No answer may be framed, or load anything from
// elsewhere (Content-Security-Policy). Only GET and HEAD are served, and no request may have a
// body. A Unix socket is for its owner and group (mode 0660).
//
// # Fairness
//
// No peer keeps others out. All connections are accepted at once. When a peer has too many, or all
// peers together, the oldest connection of the peer with the most is closed (crowd.go). So half
// requests, and answers that are not read, push out each other, and /metrics and /healthz are
// always answered. Subscribers count by themselves. A peer has some places and is refused more;
// when all are taken, one of the peer with the most ends. A peer is an address, of IPv6 64 bits of
// it, and on a Unix socket a user. Header sizes and all times are limited, too: see the constants
// in server.go.
package web
