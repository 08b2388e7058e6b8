package dial

import "time"

// A TCP connection that is silent for KeepaliveIdle is probed every KeepaliveInterval, and given up after KeepaliveCount
// probes without an answer. The interval of RFC 9293 §3.8.4, two hours, is longer than what NATs on the way remember.
const (
	KeepaliveIdle     = 60 * time.Second
	KeepaliveInterval = 30 * time.Second
	KeepaliveCount    = 9
)
