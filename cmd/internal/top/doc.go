// Package top shows a running router in a terminal: connections and flows as they happen, and each
// of them in detail. It talks to the router only through its HTTP API (package web).
//
// # Theory of operation
//
//	/api/connections ──▶ feed ◀── follow, one goroutine     feed holds new records, bounded
//	/api/status ───────▶  │                                  since the model last looked
//	                      ▼
//	                    model ── every 250 ms ──▶ screen     bubbletea's loop; list.go and detail.go draw
//
// The model joins the records of a connection's beginning and end (row.go), keeps the latest
// connections, and filters them (package filter). It sorts them, or counts groups of them
// (group.go). The list is drawn a few times a second, however many connections come. It stands
// still while the user has paused it, has moved away from the first line, or looks at one
// connection.
//
// The records of a fleet come from a store, a second or two later. A fleet has no status: the
// header counts the handshakes received.
//
// All text in records is made printable before it is drawn, because programs choose their names,
// payloads contain anything, and another program may answer instead of the router.
package top
