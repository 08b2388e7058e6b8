//go:build linux

package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
	"syntap/cmd/internal/ring"
	"syntap/cmd/internal/sent"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// Options configure a Writer.
type Options struct {
	Limit int // connections and flows that a router has open at most, until SetLimit
	// Reload has the log write to the sinks of the config that the router has just taken. An error
	// says that it is not in force. It is called by another goroutine.
	Reload func() error
	// Search searches for the owner that a record asks for. It calls done once, before it returns
	// or from another goroutine, with the owner, nil if nothing is known, and a result for the
	// router's OnSearched. An error says that no router asks so. nil refuses all questions.
	Search func(question []byte, done func(o *record.Owner, result uint8)) error
	// Serve answers questions of the router. It calls reply with each answer, before it returns or
	// from another goroutine. An error says that no router asks so. nil refuses all questions.
	Serve func(questions []byte, reply func(answer []byte)) error
	// Said takes words of the router. An error says that no router says them; nil takes none.
	Said   func(words []byte) error
	Recent *recent.Writer // keeps the last records for those who show them; nil = none
	Tally  *sent.Tally    // gets all that the router announces and records; nil disables it
}

// Writer takes the records of a router for a log.
type Writer struct {
	o         Options
	log       *audit.Log
	end       *ring.End
	numbering record.Numbering // of openings, by their ids

	// Of Run's goroutine.
	taken    uint64 // messages
	last     uint64 // id
	openings map[uint64]opening
	owner    *record.Owner // of the last opening
	full     bool          // openings were not kept
	frames   *record.Frames

	searches *searches

	limit     atomic.Int64
	looking   atomic.Bool // a look at the log's state is to come
	reloading atomic.Bool
	ended     atomic.Bool
}

// opening is the beginning that the record of an end has to agree with.
type opening struct {
	*record.Opening
	proto flow.Proto
	flow.Key
	upstream netip.AddrPort // of a flow without a handshake
}

// invalid is the kind of finding that the keeper alone makes.
var invalid = audit.Found{Kind: record.InvalidRecord}

// NewWriter returns a writer for the router at the other end of a ring, which it takes over.
func NewWriter(log *audit.Log, end *ring.End, o Options) *Writer {
	w := &Writer{o: o, log: log, end: end, openings: make(map[uint64]opening), searches: newSearches()}
	w.SetLimit(o.Limit)
	end.Post(invalidWord, log.Stats().Found[invalid])
	w.Post()
	return w
}

// SetLimit has the writer expect up to n open connections and flows, as another config has it.
func (w *Writer) SetLimit(n int) { w.limit.Store(int64(n)) }

// Run takes records until the router has ended or has closed its log, and gives the ring back. An
// error says that it has sent a message that no router sends.
func (w *Writer) Run() error {
	w.log.OnWritten(func(_ flow.Key, _ uint32, o *record.Opening) { w.tell(o) })
	w.log.OnDatagramWritten(func(d *flow.Datagram) { w.tell(record.AsOpening(d.Opening)) })
	err := w.end.Receive(w.take, w.rest)
	w.log.Account(w.frames)
	w.ended.Store(true)
	w.searches.wait()
	w.o.Tally.Forget()
	if errors.Is(err, compact.ErrInvalid) || errors.Is(err, ring.ErrForged) {
		w.log.Finding(&record.Finding{
			Header: record.Header{Time: time.Now()}, Kind: invalid.Kind, Confidence: record.High, Flows: 1,
		})
		err = fmt.Errorf("the router has sent what no router sends: %w", err)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, w.end.Close())
}

// tell tells the router that the record of an opening is written. A router that does not listen
// misses it.
func (w *Writer) tell(o *record.Opening) {
	if id := o.Seq(&w.numbering); id != 0 {
		var m [9]byte
		m[0] = written
		binary.LittleEndian.PutUint64(m[1:], id)
		w.end.Send(m[:])
	}
}

// take takes a message of the router.
func (w *Writer) take(m []byte) error {
	switch m[0] {
	case anAnnouncement:
		return w.announced(m)
	case asked:
		return w.serve(m[1:])
	}
	w.taken++
	switch {
	case m[0] == askReload:
		return w.reload(m)
	case m[0] == said && w.o.Said != nil:
		if err := w.o.Said(m[1:]); err != nil {
			return fmt.Errorf("%w: %w", compact.ErrInvalid, err)
		}
		return nil
	}
	item, err := compact.Read(m)
	if err != nil {
		return err
	}
	switch {
	case item.Handshake != nil:
		return w.handshake(item.ID, item.Handshake)
	case item.Datagram != nil:
		return w.datagram(item.ID, item.Datagram)
	case item.Flow != nil:
		return w.flow(item.ID, item.Flow)
	case item.Finding != nil:
		w.log.Finding(item.Finding)
	case item.Segment != nil:
		w.log.Segment(flow.Key{}, *item.Segment)
	case item.Gap != nil:
		if item.Gap.Lost > 0 {
			w.o.Tally.Lost()
		}
		w.log.Missed(item.Gap)
	case item.Frames != nil:
		w.frames = item.Frames
	}
	return nil
}

// reload has the log take the config that the router has taken.
func (w *Writer) reload(m []byte) error {
	if len(m) != 1 || !w.reloading.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: a reload within another", compact.ErrInvalid)
	}
	go func() {
		answer := []byte{reloaded}
		if err := w.o.Reload(); err != nil {
			answer = append(answer, err.Error()...)
			if remedy := hint.Of(err); remedy != "" {
				answer = append(append(answer, 0), remedy...)
			}
		}
		w.Post()
		w.reloading.Store(false)
		w.end.Send(answer)
	}()
	return nil
}

func (w *Writer) handshake(id uint64, r *record.Attributed) error {
	if r.Opening == nil {
		r.Opening = new(record.Opening)
	}
	err := w.open(id, r.Outcome == handshake.Established, opening{Opening: r.Opening, proto: flow.TCP, Key: r.Key()})
	if err != nil {
		return err
	}
	if u := r.Upstream; u != nil && u.Remote.IsValid() {
		w.o.Tally.Connected(u.Local, u.Remote)
	}
	w.log.Record(r)
	w.o.Recent.Item(&compact.Item{Handshake: r})
	return nil
}

func (w *Writer) datagram(id uint64, d *record.AttributedDatagram) error {
	if d.Opening == nil {
		d.Opening = new(record.Opening)
	}
	d.Datagram.Opening = d.Opening
	k := flow.Key{Client: d.Client, Server: d.Server}
	o := opening{Opening: d.Opening, proto: d.Proto, Key: k, upstream: upstreamOf(d.Datagram)}
	if err := w.open(id, !d.Denied, o); err != nil {
		return err
	}
	if !d.Denied {
		_, kept := w.openings[id]
		w.o.Tally.Begun(d.Proto, o.upstream, kept)
	}
	if d.Question != nil {
		return w.search(d)
	}
	w.begun(d)
	return nil
}

// upstreamOf returns the destination of a flow without a handshake, as the kernel's packets have
// it.
func upstreamOf(d *flow.Datagram) netip.AddrPort {
	if d.Proto == flow.ICMP {
		return netip.AddrPortFrom(d.Upstream.Addr(), 0)
	}
	return d.Upstream
}

// begun has a datagram logged and shown.
func (w *Writer) begun(d *record.AttributedDatagram) {
	w.log.Datagram(d)
	w.o.Recent.Item(&compact.Item{Datagram: d})
}

// done has the end of a connection or flow logged and shown.
func (w *Writer) done(f *record.AttributedFlow) {
	w.log.Flow(*f)
	w.o.Recent.Item(&compact.Item{Flow: f})
}

// open keeps an opening until its end. Only one that will have an end has an id.
func (w *Writer) open(id uint64, ends bool, o opening) error {
	switch {
	case ends != (id != 0):
		return fmt.Errorf("%w: an opening with the id %d", compact.ErrInvalid, id)
	case !ends:
		return nil
	case id <= w.last:
		return fmt.Errorf("%w: the id %d behind %d", compact.ErrInvalid, id, w.last)
	}
	w.last = id
	w.shareOwner(o.Opening)
	o.Number(&w.numbering, id)
	if int64(len(w.openings)) >= w.limit.Load() {
		w.full = true
		return nil
	}
	w.openings[id] = o
	return nil
}

// shareOwner has an opening use the owner of the one before if they are equal: a program may have
// thousands of connections.
func (w *Writer) shareOwner(o *record.Opening) {
	if o.Owner == nil {
		return
	}
	if w.owner == nil || *w.owner != *o.Owner {
		w.owner = o.Owner
	}
	o.Owner = w.owner
}

// flow takes an end. One whose opening was lost on the way names none.
func (w *Writer) flow(id uint64, f *record.AttributedFlow) error {
	o, ok := w.openings[id]
	switch {
	case !ok && id != 0 && !w.full:
		return fmt.Errorf("%w: the end of %d, which is not open", compact.ErrInvalid, id)
	case !ok:
		w.done(f)
		return nil
	}
	k := f.Key
	if f.Datagram != nil {
		k = flow.Key{Client: f.Datagram.Client, Server: f.Datagram.Server}
	}
	if f.Proto() != o.proto || !same(k, o.Key) {
		return fmt.Errorf("%w: the end of %v %v as that of %v %v", compact.ErrInvalid, f.Proto(), k, o.proto, o.Key)
	}
	delete(w.openings, id)
	if f.Datagram != nil {
		w.o.Tally.Ended(o.proto, o.upstream)
		f.Datagram.Opening = o.Opening
	} else {
		f.Opening = o.Opening
	}
	w.searches.after(o.Opening, func() { w.done(f) })
	return nil
}

func same(a, b flow.Key) bool {
	ends := func(k flow.Key) [2]netip.AddrPort { return [2]netip.AddrPort{k.Client, k.Server} }
	return ends(a) == ends(b) && a.ISN == b.ISN
}

// lookAgain is the time between two looks at the state of the log while records wait.
const lookAgain = 50 * time.Millisecond

func (w *Writer) rest() {
	if w.end.Blocked() {
		w.o.Tally.Blocked()
	}
	w.end.Post(takenWord, w.taken)
	if w.Post() && w.looking.CompareAndSwap(false, true) {
		time.AfterFunc(lookAgain, w.look)
	}
}

func (w *Writer) look() {
	if w.Post() && !w.ended.Load() {
		time.AfterFunc(lookAgain, w.look)
		return
	}
	w.looking.Store(false)
}

// Post tells the router the state of the log, as is due after a reload, and reports whether it may
// change by itself.
func (w *Writer) Post() bool {
	s := w.log.State(time.Now())
	if w.o.Recent != nil {
		s.Records, s.Owners = true, true
	}
	w.end.Post(roomWord, uint64(max(0, s.Room-w.searches.count())))
	w.end.Post(queueWord, s.QueueFull)
	w.end.Post(writeWord, s.WriteError)
	w.end.Post(stateWord, stateBits(s))
	return s.Waiting || s.Handshakes
}

// Close ends Run.
func (w *Writer) Close() error { return w.end.Close() }
