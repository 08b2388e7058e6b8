package packet

// Direction is the way a packet goes, as seen from the client. As part of a rule it is a set of
// ways.
type Direction uint8

// The values of [Direction].
const (
	Outbound Direction = 1 << iota // client to world
	Inbound                        // world to client

	Both = Outbound | Inbound
)
