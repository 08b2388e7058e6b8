// Package top shows a running router in a terminal: handshakes as they happen, and each of them in
// full. It knows the router only through its HTTP API (package web).
//
// # Theory of operation
//
//	/api/events ──▶ feed ◀── follow, one goroutine     feed holds new records, bounded
//	/api/status ──▶  │                                  since the model last looked
//	                 ▼
//	               model ── every 250 ms ──▶ screen     bubbletea's loop; list.go and detail.go draw
//
// The list is drawn a few times a second however many handshakes come. It stands still while the
// user has paused it, or has moved away from the newest row.
package top
