// Package top shows a running router in a terminal: connections and flows as they happen, and each
// of them in full. It knows the router only through its HTTP API (package web).
//
// # Theory of operation
//
//	/api/connections ──▶ feed ◀── follow, one goroutine     feed holds new records, bounded
//	/api/status ───────▶  │                                  since the model last looked
//	                      ▼
//	                    model ── every 250 ms ──▶ screen     bubbletea's loop; list.go and detail.go draw
//
// The model joins the records of a connection's begin and end (row.go), keeps the last connections,
// and filters them by package filter; it sorts them, or counts groups of them (group.go). The list
// is drawn a few times a second however many connections come. It stands still while the user has
// paused it, has moved away from the first line, or looks at one connection.
//
// Of a fleet the records come from a store, a second or two later, and there is no status: the
// header counts the handshakes that have come.
//
// All text of records is made printable before it is drawn: programs choose their names, payloads
// hold anything, and another program may answer instead of the router.
package top
