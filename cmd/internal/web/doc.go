// Package web shows a running router to people and programs: a live page, a JSON API and Prometheus
// metrics, on a TCP port or a Unix socket. It only ever reads.
//
// # Theory of operation
//
//	tap ── Server.Record ──▶ ring of the last records ──▶ /api/handshakes    the newest, on request
//	       one short lock       │                    ╰──▶ /api/events        each subscriber by itself, every 200 ms
//	                            ╰─ histograms ──╮
//	app ── Counters ────────────────────────────┴──────▶ /metrics, /api/status
//
// Record is called on the packet path. It stores a pointer and adds to a few atomic counters; it
// renders nothing, wakes no goroutine and cannot be made to wait: readers hold the ring's lock only
// to copy pointers.
//
// The ring is also the queue of every subscriber of /api/events. A subscriber is no more than a
// position in it, so the memory it can hold is bounded: one that falls behind by more than the ring
// gets the number of records it has missed ("event: lost") and continues with the oldest there is.
// One that does not read is dropped when a write has waited for eventTimeout. Records are numbered
// from 1 by "seq", which is also the id of the event: a browser that connects again continues where
// it was.
//
// The metrics are made from a snapshot for each request, but for the histograms. Their labels come
// from fixed sets of words, and the names of error numbers: no packet can add a series.
//
// # The live page
//
// page/ holds the page as browsers get it: modules without a build step and without dependencies.
// store.js keeps the last records, which stream.js receives, and figures of all of them; table.js
// and charts.js draw from it, four times a second whatever the rate; ladder.js draws one handshake.
// Values of records reach the document as text only.
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
