package app

import (
	"syntap/cmd/internal/audit"
	"syntap/stack"
)

// flowRecord translates what the stack reports of a connection into what the log says of it.
func flowRecord(f stack.Flow) audit.Flow {
	by, how := ending(f.End)
	return audit.Flow{
		Time: f.Started, Client: f.Client, Server: f.Server, ClientISN: f.ISN, ServerISN: f.ServerISN,
		Duration: f.Duration, Outbound: f.Outbound, Inbound: f.Inbound, Retransmits: f.Retransmits,
		ClosedBy: by, Close: how,
	}
}

// ending says who closed a connection first, and how.
func ending(e stack.End) (by, how string) {
	switch e {
	case stack.ClientFIN:
		return "client", "fin"
	case stack.ClientRST:
		return "client", "rst"
	case stack.ClientTimeout:
		return "client", "timeout"
	case stack.ServerFIN:
		return "server", "fin"
	case stack.ServerRST:
		return "server", "rst"
	case stack.ServerTimeout:
		return "server", "timeout"
	default:
		return "router", "rst"
	}
}
