package record

import "syntap/tap/handshake"

// Attributed is a handshake's record with the process of its client. A [Handshake] is written from
// it.
type Attributed struct {
	*handshake.Record
	Owner *Owner // nil if unknown, or if the client is on another host
}

// Owner is a process of this host.
type Owner struct {
	UID     uint32
	PID     int    // 0 if unknown
	Process string // its name; empty if unknown
}
