package record

import "syntap/tap/handshake"

// Attributed is a handshake's record with the process of its client. A [Handshake] is written from
// it.
type Attributed struct {
	*handshake.Record
	Owner *Owner // nil if unknown, or if the client is on another host
}

// Owner is the program of this host that a client is. Members that are unknown are empty or 0, and
// absent from the record.
type Owner struct {
	UID       uint32 // of the socket
	User      string // its name
	PID       int    // of the process that holds the socket, as this host numbers it
	Process   string // name of the file that it executes
	Exe       string // path of that file
	Unit      string // of systemd that the process belongs to
	Container string // id or name of the container that it runs in
}
