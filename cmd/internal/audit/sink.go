package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// maxBatch is the most bytes that a sink gathers before it writes by itself.
const maxBatch = 64 << 10

// Sink writes handshakes in one format to one place. Events gather in a batch until Flush. A Sink
// serves one goroutine at a time.
type Sink struct {
	config   config.Sink // as it was opened
	path     string
	format   config.Format
	byPacket bool // text, each line as its segment passes
	limit    int  // bytes of a batch that the sink writes by itself
	keep     bool // a batch that cannot be written is not given up
	onDisk   bool // it writes to a file, not to a pipe or the like

	form  encoder
	hooks logrus.LevelHooks // nil = none

	logger logrus.FieldLogger // of the program
	now    func() time.Time   // the clock of rotation and of heads

	event Event // being written
	batch bytes.Buffer
	out   *logfile.File

	chain *record.Chain // of a JSON log; nil = none
	heads *chain.Heads  // with a chain
	mixed bool          // the records before are chained and these are not, or the other way round

	numbering *record.Numbering // of this log, also over a reload
	numbered  []*record.Opening // that have got their numbers with the batch

	end  position // of the log with the batch
	safe position // of the log as it is written

	written   func(path string, seq uint64)   // nil = none asks
	spool     func(path string) (Spool, bool) // nil = the log is not shipped
	removable atomic.Uint64                   // rotated files may go whose records have no greater number
	awaited   atomic.Uint64                   // new connections wait until the stores have this record; 0 = they do not

	gathered  loss   // the records of the batch, lost if it cannot be written
	pending   []loss // not yet announced, one for each reason
	announced []loss // in the batch

	err  error         // of the last write
	lost atomic.Uint64 // records lost to write errors
}

// position is a place in a log: behind a record.
type position struct {
	seq    uint64        // of the record; 0 = the log begins
	hash   record.Digest // of a chained log
	counts record.Counts // records of this run
}

// Record takes an attempt whose verdict has fallen. An error is that of Flush.
func (s *Sink) Record(r *record.Attributed) error {
	s.record(r)
	return s.flushFull()
}

// Segment takes a segment as it passes, for text in packet order; other sinks wait for its record.
// An error is that of Flush.
func (s *Sink) Segment(seg *handshake.Segment) error {
	s.segment(seg)
	return s.flushFull()
}

func (s *Sink) flushFull() error {
	if !s.full() {
		return nil
	}
	return s.Flush()
}

// full reports whether the batch is to be written.
func (s *Sink) full() bool { return s.batch.Len() >= s.limit }

func (s *Sink) record(r *record.Attributed) {
	if !s.byPacket { // else its lines are out
		s.take(Event{Record: r}, r.Time)
	}
}

func (s *Sink) segment(seg *handshake.Segment) {
	if s.byPacket {
		s.take(Event{Segment: seg}, seg.Time)
	}
}

// hasFlows reports whether the sink has records of datagrams, flows and gaps, and of owners.
func (s *Sink) hasFlows() bool { return s.format.HasFlows() }

// datagram takes the beginning of a flow without a handshake.
func (s *Sink) datagram(d *record.AttributedDatagram) { s.take(Event{Datagram: d}, d.Time) }

// flow takes the end of a connection or flow.
func (s *Sink) flow(f *record.AttributedFlow) {
	opening := record.OpeningOf(&f.Flow).Seq(s.numbering)
	s.take(Event{Flow: f, Opening: opening}, f.Started.Add(f.Duration))
}

// finding takes something that the router has found out.
func (s *Sink) finding(f *record.Finding) { s.take(Event{Finding: f}, f.Time) }

// endRun adds the last record of a run that ends in order.
func (s *Sink) endRun(f *record.Frames) {
	s.announce()
	s.add(Event{End: &record.End{
		Header: record.Header{Time: time.Now()}, Records: s.end.counts, Frames: f,
	}})
}

func (s *Sink) take(e Event, t time.Time) {
	s.announce()
	before := s.batch.Len()
	s.add(e)
	if s.batch.Len() > before { // else the format says nothing of it, or not yet
		s.gathered.add(t)
	}
}

// add puts an event into the batch.
func (s *Sink) add(e Event) {
	s.end.seq++
	switch {
	case e.Record != nil:
		s.end.counts.Handshake++
		if e.Record.Outcome == handshake.Established {
			s.number(e.Record.Opening)
		}
	case e.Datagram != nil:
		s.end.counts.Datagram++
		if !e.Datagram.Denied {
			s.number(e.Datagram.Opening)
		}
	case e.Flow != nil:
		s.end.counts.Flow++
	case e.Finding != nil:
		s.end.counts.Finding++
	case e.Gap != nil:
		s.end.counts.Gap++
	}
	s.event = e
	s.event.Seq = s.end.seq
	if s.hooks != nil {
		entry := s.event.entry()
		_ = s.hooks.Fire(entry.Level, entry) // a hook that fails keeps no record from the log
	}
	s.batch.Write(s.form.append(s.batch.AvailableBuffer(), &s.event))
	s.event = Event{}
}

// number keeps the number of an opening's record for the record of the end.
func (s *Sink) number(o *record.Opening) {
	if o == nil || s.format != config.JSON {
		return
	}
	o.Number(s.numbering, s.end.seq)
	s.numbered = append(s.numbered, o)
}

// missed takes losses, which the log announces before the next record if its format has a form for
// that.
func (s *Sink) missed(losses ...loss) {
	if !s.hasFlows() || s.format == config.Zeek {
		return
	}
	for _, l := range losses {
		if l.n > 0 {
			s.pending = merge(s.pending, l)
		}
	}
}

// announce puts the pending losses into the batch.
func (s *Sink) announce() {
	for i := range s.pending {
		g := s.pending[i].gap(time.Now())
		s.add(Event{Gap: &g})
	}
	s.announced = append(s.announced, s.pending...)
	s.pending = s.pending[:0]
}

// Flush writes the batch in one write. A batch that cannot be written is lost: its records are
// counted, and their numbers are reused. A sink that keeps its batch tries again at the next Flush.
// With nothing to write, the error is that of the last write.
func (s *Sink) Flush() error {
	s.announce()
	if s.batch.Len() == 0 && (s.err == nil || !s.keep) {
		return s.err
	}
	err := s.write()
	if err != nil && s.keep {
		s.err = s.failed(err)
		return s.err
	}
	s.batch.Reset()
	lost, announced := s.gathered, s.announced
	s.gathered, s.announced = loss{reason: record.WriteError}, nil
	if err != nil {
		s.lose(lost, announced)
		s.err = s.failed(err)
		return s.err
	}
	s.forgetNumbered()
	if s.chain != nil {
		s.end.hash = s.chain.Last
		s.heads.Write(s.end.seq, s.end.hash, s.out.Descriptor())
	}
	s.safe, s.err = s.end, nil
	s.tellWritten()
	s.removeRotated(announced)
	return nil
}

func (s *Sink) tellWritten() {
	if s.written != nil {
		s.written(s.path, s.safe.seq)
	}
}

// lose gives up the records of a batch, and the losses that were announced in it.
func (s *Sink) lose(records loss, announced []loss) {
	s.end = s.safe
	for _, o := range s.numbered {
		o.Number(s.numbering, 0)
	}
	s.forgetNumbered()
	if s.chain != nil {
		s.chain.Last = s.safe.hash
	}
	s.lost.Add(records.n)
	s.missed(records)
	s.missed(announced...)
}

func (s *Sink) forgetNumbered() {
	clear(s.numbered)
	s.numbered = s.numbered[:0]
}

// write writes the batch. Of a batch that is kept only the rest remains if a part is out for good.
func (s *Sink) write() error {
	if !s.keep && s.format != config.PCAPNG {
		if err := s.out.EndLine(); err != nil {
			return err
		}
	}
	n, err := s.out.Write(s.batch.Bytes())
	s.batch.Next(n)
	return err
}

// failed adds the operation to an error that has none.
func (s *Sink) failed(err error) error {
	if pathError := new(fs.PathError); err == nil || errors.As(err, &pathError) && pathError.Op != "write" {
		return err
	}
	return fmt.Errorf("write log %s: %w", s.path, logfile.Cause(err))
}

// Reopen continues in the file that now has the log's name, for programs that rename it: rotation
// by others. The file before gets the batch.
func (s *Sink) Reopen() error {
	err := s.Flush()
	if s.path == "-" {
		return err
	}
	if s.out.Torn() && s.keep {
		return err // the rest belongs into the same file
	}
	return errors.Join(err, s.out.Reopen(), s.failed(s.out.Begin()))
}

// Close writes the batch, and the connections that the format has kept open, and closes the file.
func (s *Sink) Close() error {
	if z, ok := s.form.(*zeekFormat); ok {
		s.batch.Write(z.log.Close(s.batch.AvailableBuffer()))
	}
	err := s.Flush()
	if closeErr := s.close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close log %s: %w", s.path, logfile.Cause(closeErr))
	}
	return err
}

func (s *Sink) close() error {
	if s.heads != nil {
		s.heads.Close()
	}
	return s.out.Close()
}
