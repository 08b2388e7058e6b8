package recent

import (
	"sync/atomic"
	"unsafe"
)

// How many records are kept at most: some seconds of a busy router. Long ones take the room of
// several.
const (
	Records    = 8192
	Handshakes = 2048
)

// Bytes for the records themselves.
const (
	bytesOfHandshakes = 2 << 20
	bytesOfOthers     = 4 << 20
)

// The memory: words of eight bytes, then entries, then bytes.
const (
	newestAt       = 0  // number of the newest record
	newestShakesAt = 8  // of the newest handshake
	reservedAt     = 16 // bytes written and about to be written, of handshakes
	reservedOthers = 24
	headerWords    = 32
	memoryBytes    = 8*headerWords + (Records+Handshakes)*bytesOfEntry + bytesOfHandshakes + bytesOfOthers
)

// entry is a record's place in a list. Its words are:
const (
	numberWord    = iota // 0 while it is written
	placeWord            // of its bytes
	kindWord             // type, flags and length
	seqWord              // number among the records of its type
	openingWord          // of an end: the number of the opening in its type; 0 = unknown
	openingAtWord        // of an end: the number of the opening among all; 0 = unknown
	endWord              // of an opening: the number of its end among all; 0 = it has not ended
	wordsOfEntry  = 8
	bytesOfEntry  = 8 * wordsOfEntry
)

type entry [wordsOfEntry]atomic.Uint64

// Flags of the kind, beside the type in its lowest byte and the length in its upper half.
const (
	loggedFlag = 1 << 8
	tcpFlag    = 1 << 9
)

// table is a list.
type table struct {
	newest  *atomic.Uint64
	entries []entry // number n stands at n % len
}

func (t *table) entry(n uint64) *entry { return &t.entries[n%uint64(len(t.entries))] }

// region has the bytes of records, a ring.
type region struct {
	reserved *atomic.Uint64
	data     []byte
}

// longest is how long a record may be, in bytes.
func (g *region) longest() int { return len(g.data) / 8 }

// memory is the view of both sides.
type memory struct {
	all, handshakes  table
	ofShakes, others region
}

func newMemory(b []byte) memory {
	word := func(i int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&b[8*i])) }
	entries := func(n int) []entry {
		first := (*entry)(unsafe.Pointer(&b[0]))
		b = b[n*bytesOfEntry:]
		return unsafe.Slice(first, n)
	}
	m := memory{
		all: table{newest: word(newestAt)}, handshakes: table{newest: word(newestShakesAt)},
		ofShakes: region{reserved: word(reservedAt)}, others: region{reserved: word(reservedOthers)},
	}
	b = b[8*headerWords:]
	m.all.entries, m.handshakes.entries = entries(Records), entries(Handshakes)
	m.ofShakes.data, m.others.data = b[:bytesOfHandshakes], b[bytesOfHandshakes:]
	return m
}

// region returns that of handshakes, or of the others.
func (m *memory) region(handshake bool) *region {
	if handshake {
		return &m.ofShakes
	}
	return &m.others
}
