package format

import (
	"time"

	"syntap/tun/flow"
)

// Connection is the records of one connection, or of one flow of datagrams. At least one of the two
// is there.
type Connection struct {
	Opening *Record // a handshake or a datagram; nil where it is not on record
	End     *Record // the flow; nil while there is none, and where the attempt failed
	State   State
	Router  string // in a fleet; "" = not known
}

// State says whether a connection is over.
type State uint8

// The values of [State].
const (
	Ended      State = iota // its flow is on record, or nothing is left to end
	Alive                   // it had not ended where the log ends
	EndMissing              // it is over, and no record says how: its run was killed, or records are missing
)

// String returns the state in a word.
func (s State) String() string { return [...]string{"ended", "open", "unknown"}[s] }

// Start returns when the connection began.
func (c *Connection) Start() time.Time { return c.first().Start() }

// first returns the record that has the ends and the owner: the opening, if there is one.
func (c *Connection) first() *Record {
	if c.Opening != nil {
		return c.Opening
	}
	return c.End
}

// Outcome returns the outcome of a connection; it is empty while datagrams may still be answered.
func (c *Connection) Outcome() string {
	switch r := c.first(); {
	case r.Type == Finding: // of no connection
		return r.Type.String()
	case r.Denied():
		return "denied"
	case c.End != nil && c.End.Outcome != "":
		return c.End.Outcome
	case r.Outcome == "" && r.Proto == flow.TCP:
		return "established" // no other has a flow
	default:
		return r.Outcome
	}
}

// payload returns the record that says more of the payload: the flow, or without one the opening.
func (c *Connection) payload() *Record {
	if c.End != nil && (c.End.application() != "" || c.Opening == nil) {
		return c.End
	}
	return c.first()
}
