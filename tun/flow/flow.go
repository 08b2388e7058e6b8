package flow

import "time"

// Flow is a connection that has ended, whose handshake has the same Key; or the end of what a
// Datagram has begun.
type Flow struct {
	Key
	ServerISN   uint32        // of the SYN-ACK
	Started     time.Time     // when the SYN, or the first datagram, came
	Duration    time.Duration // until the last of both directions was closed
	Outbound    uint64        // payload bytes that the far side's socket took
	Inbound     uint64        // payload bytes towards the client
	Retransmits uint64        // segments sent to the client again
	End         End
	Opening     Opening // of TCP: what came with the record of the handshake; nil without it

	// What the payload said; nil or empty where it did not, or was not looked at.
	Hello    *Hello // the client's first bytes
	HTTPHost string // of the client's first request: lower case, without port
	DNS      *DNS   // the queries and, if it came, the response

	// Of a flow without a handshake.
	Datagram        *Datagram // its opening; nil for TCP
	Outcome         Outcome
	OutboundPackets uint64
	InboundPackets  uint64
}

// Proto returns the protocol.
func (f *Flow) Proto() Proto {
	if f.Datagram == nil {
		return TCP
	}
	return f.Datagram.Proto
}

// String returns the key and the end.
func (f Flow) String() string {
	if f.Datagram != nil {
		return f.Client.String() + " > " + f.Server.String() + " " + f.Proto().String() + ": " + f.Outcome.String()
	}
	return f.Key.String() + ": " + f.End.String()
}

// End is the event that began the end of a connection.
type End uint8

const (
	Open          End = iota // none yet
	ClientFIN                // the client closed its direction
	ClientRST                // the client reset
	ClientTimeout            // the client no longer acknowledged
	ServerFIN                // the far side closed its direction
	ServerRST                // the far side reset
	ServerTimeout            // the far side no longer acknowledged
	RouterRST                // the router reset both sides
)

// By returns the side that began the end: "client", "server" or "router". It is empty for Open.
func (e End) By() string {
	return word(e, "", "client", "client", "client", "server", "server", "server", "router")
}

// How returns the way in which it ended: "fin", "rst" or "timeout". It is empty for Open.
func (e End) How() string {
	return word(e, "", "fin", "rst", "timeout", "fin", "rst", "timeout", "rst")
}

// String returns both, such as "client fin", or "open".
func (e End) String() string {
	if e == Open {
		return "open"
	}
	return e.By() + " " + e.How()
}
