package route

// Enforce says what becomes of a packet that should have entered the TUN and leaves the host by
// another interface.
type Enforce string

// The values of [Enforce].
const (
	EnforceReject Enforce = "reject" // it is dropped, and counted
	EnforceCount  Enforce = "count"  // it is counted
	EnforceOff    Enforce = "off"
)

// Past is how many packets should have entered the TUN and left by another interface, or would
// have.
type Past struct {
	UID       int    // of the socket; -1 where there is none
	From      string // interface by which they came in, "" for this host's own
	Interface string // by which they left
	Refused   bool   // they did not: Enforce
	Packets   uint64
}
