// Package app ties a router together and gives it a lifetime: it builds tun, tap and stack from a config, wires what
// crosses between them, and takes everything down in order.
//
//	tun.Device ══ tap.Tap ══ stack.Stack ── host sockets
//	                │  ▲          │
//	     OnRecord,  │  ╰──────────╯ DialDone: how the far side answered, before the client is
//	     OnSegment  ▼
//	            audit.Log
//
// The mss and df rules of the config hold on both legs: the tap rewrites by them, the stack sizes its sockets, and tells the
// tap what the path takes (policy.go).
//
// Tap and stack do not know each other. What one has to tell the other goes through the callbacks that [Route] sets.
package app
