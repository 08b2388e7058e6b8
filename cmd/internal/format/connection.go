package format

import "time"

// Connection is the records of one connection, or of one flow of datagrams. At least one of the two
// is there.
type Connection struct {
	Opening *Record // a handshake or a datagram; nil where it is not on record
	End     *Record // the flow; nil while there is none, and where the attempt failed
	State   State
}

// State says whether a connection is over.
type State uint8

// The values of [State].
const (
	Ended      State = iota // its flow is on record, or nothing is left to end
	Alive                   // it had not ended where the log ends
	EndMissing              // it is over, and no record says how: its run was killed, or records are missing
)

// Start returns when the connection began.
func (c *Connection) Start() time.Time { return c.first().Start() }

// first returns the record that has the ends and the owner: the opening, if there is one.
func (c *Connection) first() *Record {
	if c.Opening != nil {
		return c.Opening
	}
	return c.End
}
