package recent

import (
	"os"
	"sync/atomic"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record/compact"
)

// Reader reads the records that a Writer keeps, from any goroutine.
type Reader struct{ memory memory }

// Open returns a reader of the memory of another process, for the life of this one. It takes the
// file over.
func Open(f *os.File) (*Reader, error) {
	defer f.Close()
	b, err := mapped(f)
	if err != nil {
		return nil, err
	}
	return &Reader{newMemory(b)}, nil
}

// All returns the list of all records.
func (r *Reader) All() List { return List{&r.memory, &r.memory.all} }

// Handshakes returns the list of handshakes.
func (r *Reader) Handshakes() List { return List{&r.memory, &r.memory.handshakes} }

// List has the last records by their numbers.
type List struct {
	memory *memory
	table  *table
}

// Len is how many records are kept at most.
func (l List) Len() int { return len(l.table.entries) }

// Newest returns the number of the newest record; 0 = there is none.
func (l List) Newest() uint64 { return l.table.newest.Load() }

// Entry is a record that is kept.
type Entry struct {
	Number    uint64      // in its list
	Type      format.Type // Handshake, Datagram or Flow
	TCP       bool        // a flow whose opening is a handshake
	Seq       uint64      // number among the records of its type, from 1
	Opening   uint64      // of a flow: that of its opening; 0 = unknown
	OpeningAt uint64      // of a flow: the number of its opening among all; 0 = unknown
	End       uint64      // of an opening: the number of its flow among all; 0 = it has none yet
	Logged    []byte      // the line of a log of an earlier run, without its end; nil = of this run

	message []byte
}

// Item returns the record of this run. An error says that no writer has kept it.
func (e *Entry) Item() (compact.Item, error) { return compact.ReadKnown(e.message) }

// At returns a record by its number; nil where it is not kept.
func (l List) At(number uint64) *Entry {
	if number == 0 {
		return nil
	}
	e := l.table.entry(number)
	if e[numberWord].Load() != number {
		return nil
	}
	kind, at := e[kindWord].Load(), e[placeWord].Load()
	of := format.Type(kind)
	g := l.memory.region(of == format.Handshake)
	n := int(kind >> 32)
	if n == 0 || n > g.longest() {
		return nil
	}
	b := make([]byte, n)
	begin := at % uint64(len(g.data))
	first := copy(b, g.data[begin:])
	copy(b[first:], g.data)
	found := &Entry{
		Number: number, Type: of, TCP: kind&tcpFlag != 0, Seq: e[seqWord].Load(),
		Opening: e[openingWord].Load(), OpeningAt: e[openingAtWord].Load(), End: e[endWord].Load(),
	}
	var fence atomic.Uint64
	fence.Add(1) // no load above comes after those below
	if e[numberWord].Load() != number || g.reserved.Load()-at > uint64(len(g.data)) {
		return nil
	}
	if kind&loggedFlag != 0 {
		found.Logged = b
	} else {
		found.message = b
	}
	return found
}
