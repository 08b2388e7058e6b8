package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/tap"
	"syntap/tun/flow"
)

// maxBatch is the most that a sink gathers before it writes without being told to, in bytes.
const maxBatch = 64 << 10

// Sink writes handshakes in one format to one place: a logrus logger with the format as its
// formatter. Entries gather in a buffer until Flush. A Sink is for one goroutine at a time.
type Sink struct {
	config   config.Sink // as it was opened
	path     string
	format   config.Format
	byPacket bool // text, each line as its segment passes
	batch    int  // bytes that are written without being told to
	keep     bool // a batch that cannot be written is not given up

	entry *logrus.Entry // about event
	event Event
	buf   bytes.Buffer // the batch
	out   output

	chain *chain // of a JSON log; nil = none
	vouch *vouch // with a chain
	mixed bool   // the records before are chained and these are not, or the other way round

	seq       uint64 // of the last record in the batch
	written   uint64 // number of the last record that was written
	gathered  Gap    // what the batch holds, lost if it cannot be written
	pending   []Gap  // not yet announced, one for each reason
	announced []Gap  // in the batch
	counts    counts // records of this run, with those in the batch
	safe      counts // those that are written

	err  error         // of the last write
	lost atomic.Uint64 // to write errors
}

// Record takes an attempt whose verdict has fallen. An error is that of Flush.
func (s *Sink) Record(r *tap.Record) error {
	s.record(r)
	return s.flushFull()
}

// Segment takes a segment as it passes, for text in packet order; other sinks wait for its record.
// An error is that of Flush.
func (s *Sink) Segment(seg *tap.Segment) error {
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
func (s *Sink) full() bool { return s.buf.Len() >= s.batch }

func (s *Sink) record(r *tap.Record) {
	if !s.byPacket { // else its lines are out
		s.take(Event{Record: r}, r.Time, "handshake")
	}
}

func (s *Sink) segment(seg *tap.Segment) {
	if s.byPacket {
		s.take(Event{Segment: seg}, seg.Time, "segment")
	}
}

// flow takes the end of a connection; only JSON has a record for it.
func (s *Sink) flow(w *flow.Flow) {
	if s.format == config.JSON {
		s.take(Event{Flow: w}, w.Started.Add(w.Duration), "flow")
	}
}

func (s *Sink) take(e Event, t time.Time, message string) {
	s.announce()
	s.log(e, logrus.InfoLevel, t, message)
	s.gathered.add(t)
}

// log does what [logrus.Entry.Log] does, but neither copies the entry nor locks the logger: a sink
// is for one goroutine.
func (s *Sink) log(e Event, level logrus.Level, t time.Time, message string) {
	s.seq++
	s.counts.add(message)
	s.event = e
	s.event.Seq = s.seq
	s.entry.Time, s.entry.Level, s.entry.Message = t, level, message
	_ = s.entry.Logger.Hooks.Fire(level, s.entry)
	line, _ := s.entry.Logger.Formatter.Format(s.entry) // it fails only on an entry without an event
	s.buf.Write(line)
	s.event = Event{}
}

// missed tells the sink of records that are not in its file. A JSON log announces them before the
// next record.
func (s *Sink) missed(g Gap) {
	if s.format != config.JSON || g.Lost == 0 {
		return
	}
	for i := range s.pending {
		if s.pending[i].Reason == g.Reason {
			s.pending[i].merge(g)
			return
		}
	}
	s.pending = append(s.pending, g)
}

// announce puts what is lost into the batch.
func (s *Sink) announce() {
	for _, g := range s.pending {
		level := logrus.WarnLevel
		if g.Reason == Rotated {
			level = logrus.InfoLevel
		}
		s.log(Event{Gap: &g}, level, time.Now(), "gap")
	}
	s.announced = append(s.announced, s.pending...)
	s.pending = s.pending[:0]
}

// Flush writes what has gathered, in one write. After an error it is lost: counted, and its record
// numbers go to the next ones. A sink that keeps its batch tries to write it again with the next
// Flush. With nothing to write the error is that of the last write.
func (s *Sink) Flush() error {
	s.announce()
	if s.buf.Len() == 0 && (s.err == nil || !s.keep) {
		return s.err
	}
	err := s.write()
	if err != nil && s.keep {
		s.err = s.failed(err)
		return s.err
	}
	s.buf.Reset()
	lost, announced := s.gathered, s.announced
	s.gathered, s.announced = Gap{Reason: WriteError}, nil
	if err == nil {
		s.written, s.safe, s.err = s.seq, s.counts, nil
		if s.chain != nil {
			s.chain.written = s.chain.last
			s.vouch.wrote(s.seq, s.chain.last, s.out.file)
		}
		s.removeRotated(announced)
		return nil
	}
	s.seq, s.counts = s.written, s.safe
	if s.chain != nil {
		s.chain.last = s.chain.written
	}
	s.lost.Add(lost.Lost)
	s.missed(lost)
	for _, g := range announced {
		s.missed(g)
	}
	s.err = s.failed(err)
	return s.err
}

// write writes the batch. Of a batch that is kept only the rest remains if a part is out for good.
func (s *Sink) write() error {
	if !s.keep && s.format != config.PCAPNG {
		if err := s.out.mend(); err != nil {
			return err
		}
	}
	n, err := s.out.write(s.buf.Bytes())
	s.buf.Next(n)
	return err
}

// failed says what could not be done.
func (s *Sink) failed(err error) error {
	if pathError := new(fs.PathError); err == nil || errors.As(err, &pathError) && pathError.Op != "write" {
		return err
	}
	return fmt.Errorf("write log %s: %w", s.path, cause(err))
}

// Reopen goes on in the file that now has the log's name, for programs that rename it: rotation by
// others. The file before gets what has gathered.
func (s *Sink) Reopen() error {
	err := s.Flush()
	if s.path == "-" {
		return err
	}
	if s.out.torn && s.keep {
		return err // the rest belongs into the same file
	}
	return errors.Join(err, s.out.reopen(), s.failed(s.out.begin()))
}

// Close writes what has gathered and closes the file.
func (s *Sink) Close() error {
	err := s.Flush()
	if closeErr := s.close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close log %s: %w", s.path, cause(closeErr))
	}
	return err
}

func (s *Sink) close() error {
	if s.vouch != nil {
		s.vouch.close()
	}
	return s.out.close()
}

// announceRotated has a chained log say which records are about to go with its oldest files:
// without that they would be missing.
func (s *Sink) announceRotated() {
	if s.chain == nil || s.out.rotation == nil {
		return
	}
	if first, last := s.out.rotation.leaving(); last > s.out.rotation.removable.Load() {
		now := s.out.now()
		s.missed(Gap{Reason: Rotated, Lost: last - first + 1, From: now, To: now, First: first, Last: last})
	}
}

// removeRotated has files removed of which the log now says so.
func (s *Sink) removeRotated(announced []Gap) {
	for _, g := range announced {
		if g.Reason == Rotated {
			s.out.rotation.removable.Store(g.Last)
			s.out.rotation.tidySoon()
		}
	}
	if s.out.rotated {
		s.out.rotated = false
		s.announceRotated()
	}
}
