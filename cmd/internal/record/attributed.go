package record

import (
	"sync"

	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// Attributed is a handshake's record with its client's program. A [Handshake] is written from it.
type Attributed struct {
	*handshake.Record
	Opening *Opening // nil if nothing is known, and no record of the end will come
}

// AttributedDatagram is the same of a flow without a handshake. A [Datagram] is written from it.
type AttributedDatagram struct {
	*flow.Datagram
	Opening *Opening

	// Question asks for the owner, of the process that writes the record and alone may look for it;
	// nil = Opening has all that will be known.
	Question []byte
}

// AttributedFlow is the end of a connection or flow. A [Flow] is written from it.
type AttributedFlow struct {
	flow.Flow
	NameConflict bool // what the client's first bytes said is not the name of its opening
}

// Opening is the part of a connection's first record that the record of its end repeats. It must
// not change once that record has been handed to a log that writes it.
type Opening struct {
	Owner *Owner // nil if unknown, or if the client is on another host
	Name  *Name  // nil if the client knew no name

	// Untrusted means that DNS answers of this server teach no names: a rule allows the server by
	// its name, and it could give any other name to any address.
	Untrusted bool

	Sender any // of the router, of UDP: the client's socket, to know it again; nil if unknown

	mu      sync.Mutex // guards numbers
	numbers []place
}

// place is the number of the record of an opening in one log.
type place struct {
	log *Numbering
	seq uint64
}

// Numbering stands for one log among those that number the same openings.
type Numbering struct{ _ byte }

// Number keeps the number that the opening's record has in a log; 0 = it is not there.
func (o *Opening) Number(log *Numbering, seq uint64) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.numbers {
		if o.numbers[i].log == log {
			o.numbers[i].seq = seq
			return
		}
	}
	o.numbers = append(o.numbers, place{log, seq})
}

// Seq returns the number that the opening's record has in a log; 0 = it is not there.
func (o *Opening) Seq(log *Numbering) uint64 {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.numbers {
		if n.log == log {
			return n.seq
		}
	}
	return 0
}

// OpeningOf returns the opening of a connection or flow that has ended; nil if it has none.
func OpeningOf(f *flow.Flow) *Opening {
	opening := f.Opening
	if f.Datagram != nil {
		opening = f.Datagram.Opening
	}
	return AsOpening(opening)
}

// AsOpening returns the opening that the stack hands back; nil if there is none.
func AsOpening(opening flow.Opening) *Opening {
	o, _ := opening.(*Opening)
	return o
}

// IsOpening implements flow.Opening.
func (o *Opening) IsOpening() {}

// Owner is the program of this host that is the client. Unknown members are empty or 0, and absent
// from the record.
type Owner struct {
	UID       uint32 // of the socket
	User      string // its name
	PID       int    // of the process that holds the socket, as this host numbers it
	Process   string // name of the file that it executes
	Exe       string // path of that file
	Unit      string // of systemd that the process belongs to
	Container string // id or name of the container that it runs in
}

// Name is the name by which a client knows an address.
type Name struct {
	Name   string
	Source string   // "dns", "hosts" or "virtual"
	Others []string // other names that the client knows the address by
}
