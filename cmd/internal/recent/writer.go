package recent

import (
	"os"
	"sync"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
	"syntap/tun/flow"
)

// Writer keeps records. A nil Writer keeps none. Its methods may be called from any goroutine, and
// wait for no reader.
type Writer struct {
	file   *os.File
	memory memory

	mu                         sync.Mutex // guards all below
	message, opening           []byte     // scratch
	last, handshakes           uint64     // numbers
	datagrams, ends            uint64
	writtenShakes, writtenElse uint64           // bytes
	positions                  record.Numbering // numbers in all
	numbers                    record.Numbering // numbers among the openings of a type
}

// New returns a writer to new memory, for the life of the process.
func New() (*Writer, error) {
	b, f, err := share(memoryBytes)
	if err != nil {
		return nil, err
	}
	return &Writer{file: f, memory: newMemory(b)}, nil
}

// File returns the file from which another process opens a Reader.
func (w *Writer) File() *os.File { return w.file }

// Reader returns a reader in this process.
func (w *Writer) Reader() *Reader { return &Reader{w.memory} }

// Item keeps a record of a connection or flow; others it leaves out. An end comes after its
// opening.
func (w *Writer) Item(i *compact.Item) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m, err := compact.Append(w.message[:0], i)
	w.message = m[:0]
	if err == nil { // else no record can be like that
		w.put(m, i)
	}
}

// put keeps a record. mu is held, as by those below.
func (w *Writer) put(m []byte, i *compact.Item) {
	switch {
	case i.Handshake != nil:
		w.addOpening(format.Handshake, 0, i.Handshake.Opening, m)
	case i.Datagram != nil:
		w.addOpening(format.Datagram, 0, i.Datagram.Opening, m)
	case i.Flow != nil:
		o := record.OpeningOf(&i.Flow.Flow)
		w.opening = compact.AppendOpening(w.opening[:0], o)
		flags := uint64(0)
		if i.Flow.Proto() == flow.TCP {
			flags = tcpFlag
		}
		w.addEnd(flags, o.Seq(&w.positions), o.Seq(&w.numbers), m, w.opening)
	}
}

// place is the number of a record among all, and among those of its type.
type place struct{ position, seq uint64 }

// addOpening adds a handshake or a datagram.
func (w *Writer) addOpening(of format.Type, flags uint64, o *record.Opening, m []byte) place {
	w.last++
	p := place{position: w.last}
	isHandshake := of == format.Handshake
	at, kind := w.store(isHandshake, of, flags, m)
	if isHandshake {
		w.handshakes++
		p.seq = w.handshakes
		set(&w.memory.handshakes, p.seq, [wordsOfEntry]uint64{placeWord: at, kindWord: kind, seqWord: p.seq})
	} else {
		w.datagrams++
		p.seq = w.datagrams
	}
	set(&w.memory.all, p.position, [wordsOfEntry]uint64{placeWord: at, kindWord: kind, seqWord: p.seq})
	o.Number(&w.positions, p.position)
	o.Number(&w.numbers, p.seq)
	return p
}

// addEnd adds a flow whose opening has a number among all and one in its type; 0 = unknown.
func (w *Writer) addEnd(flags, openingAt, opening uint64, parts ...[]byte) {
	w.last++
	w.ends++
	at, kind := w.store(false, format.Flow, flags, parts...)
	if openingAt != 0 {
		w.ended(&w.memory.all, w.last, openingAt)
		if flags&tcpFlag != 0 {
			w.ended(&w.memory.handshakes, w.handshakes, opening)
		}
	}
	set(&w.memory.all, w.last, [wordsOfEntry]uint64{
		placeWord: at, kindWord: kind, seqWord: w.ends, openingWord: opening, openingAtWord: openingAt,
	})
}

// ended notes at the opening with a number, if that is still one of the last, that it has an end.
func (w *Writer) ended(t *table, newest, number uint64) {
	if number+uint64(len(t.entries)) > newest {
		t.entry(number)[endWord].Store(w.last)
	}
}

// store puts the bytes of a record behind those before. The longest ones are not kept.
func (w *Writer) store(isHandshake bool, of format.Type, flags uint64, parts ...[]byte) (at, kind uint64) {
	g, written := w.memory.region(isHandshake), &w.writtenElse
	if isHandshake {
		written = &w.writtenShakes
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	at = *written
	if n <= g.longest() {
		*written += uint64(n)
		g.reserved.Swap(*written) // before the first byte (Swap is a barrier, Store is none)
		to := at
		for _, p := range parts {
			begin := to % uint64(len(g.data))
			first := copy(g.data[begin:], p)
			copy(g.data, p[first:])
			to += uint64(len(p))
		}
	} else {
		n = 0
	}
	return at, uint64(of) | flags | uint64(n)<<32
}

// set writes the entry of a number, which is then the newest. The first word is not used.
func set(t *table, number uint64, words [wordsOfEntry]uint64) {
	e := t.entry(number)
	e[numberWord].Swap(0)
	for i := placeWord; i < wordsOfEntry; i++ {
		e[i].Store(words[i])
	}
	e[numberWord].Store(number)
	t.newest.Store(number)
}
