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
// renders nothing, wakes nobody and cannot be made to wait: readers hold the ring's lock only to
// copy pointers.
//
// The ring is also the queue of every subscriber of /api/events. A subscriber is no more than a
// position in it, so what one can hold back is bounded whatever it does: one that falls behind by
// more than the ring is told how many records it has missed ("event: lost") and goes on with the
// oldest there is. One that does not read is dropped when a write has waited for eventTimeout.
// Records are numbered from 1 by "seq", which is also the id of the event: a browser that connects
// again goes on where it was.
//
// The metrics are constants made from a snapshot when they are asked for. Their labels come from
// fixed sets of words, and the names of error numbers: no packet can add a series.
//
// # The live page
//
// page/ holds the page as browsers get it: modules without a build step and without dependencies.
// store.js keeps the last records and figures of all that have come (stream.js); table.js and
// charts.js draw from it, four times a second however many come; ladder.js draws one handshake.
// Values of records reach the document as text only.
//
// # Who may ask
//
// Nothing here changes anything, so the danger is that somebody reads who should not: a web page in
// the browser of somebody who may, by a name that resolves to this address (DNS rebinding) or from
// another origin. So a request is refused unless its Host is the literal address it has come to, or
// localhost; so is one that a browser says another site has made. No answer may be read by other
// origins (no CORS), be framed, or load anything from elsewhere (Content-Security-Policy). Only GET
// and HEAD are served, and no request may have a body. A Unix socket is for its owner and group
// (mode 0660).
//
// # Who may keep others out
//
// Nobody. All connections are accepted at once; when a peer has too many, or all together are, the
// oldest connection of the peer that has the most is closed (crowd.go). So half requests, and
// answers that nobody reads, push out each other, and /metrics and /healthz are always answered. A
// subscriber counts on its own: a peer has some places and is refused more, and when all are taken,
// one of the peer that has the most ends. A peer is an address, of IPv6 64 bits of it, and on a
// Unix socket a user. Header sizes and all times are limited, too: see the constants in server.go.
package web
