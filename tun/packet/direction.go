package packet

import "fmt"

// Direction is the way a packet goes, as seen from the client. As part of a rule it is a set of
// ways.
type Direction uint8

// The values of [Direction].
const (
	Outbound Direction = 1 << iota // client to world
	Inbound                        // world to client

	Both = Outbound | Inbound
)

// String returns the word of a config for d.
func (d Direction) String() string {
	switch d {
	case Outbound:
		return "outbound"
	case Inbound:
		return "inbound"
	case Both:
		return "both"
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// MarshalText returns the word of a config for d.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
