package audit

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/tap"
)

// maxBatch is how many bytes a sink gathers before it writes them without being told to.
const maxBatch = 64 << 10

// Sink writes handshakes in one format to one place: a logrus logger with the format as its formatter. Entries gather in a
// buffer until Flush. A Sink is for one goroutine at a time.
type Sink struct {
	config   config.Sink // as it was opened
	path     string
	format   config.Format
	byPacket bool // text, each line as its segment passes

	logger *logrus.Logger // writes into buf
	entry  *logrus.Entry  // about event
	event  Event
	buf    bytes.Buffer // the batch
	out    output

	seq       uint64 // of the last record in the batch
	written   uint64 // number of the last record that was written
	gathered  Gap    // what the batch holds, lost if it cannot be written
	pending   []Gap  // not yet announced, one for each reason
	announced []Gap  // in the batch

	err  error         // of the last write
	lost atomic.Uint64 // to write errors
}

// Record takes an attempt whose verdict has fallen. An error is that of Flush.
func (s *Sink) Record(r *tap.Record) error {
	if s.byPacket {
		return nil // its lines are out
	}
	return s.take(Event{Record: r}, r.Time, "handshake")
}

// Segment takes a segment as it passes, for text in packet order; other sinks wait for its record. An error is that of Flush.
func (s *Sink) Segment(seg *tap.Segment) error {
	if !s.byPacket {
		return nil
	}
	return s.take(Event{Segment: seg}, seg.Time, "segment")
}

func (s *Sink) take(e Event, t time.Time, message string) error {
	s.announce()
	s.log(e, logrus.InfoLevel, t, message)
	s.gathered.add(t)
	if s.buf.Len() < maxBatch {
		return nil
	}
	return s.Flush()
}

func (s *Sink) log(e Event, level logrus.Level, t time.Time, message string) {
	s.seq++
	s.event = e
	s.event.Seq = s.seq
	s.entry.Time = t
	s.entry.Log(level, message)
	s.event = Event{}
}

// missed tells the sink of records that are not in its file. A JSON log announces them before the next record.
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
		s.log(Event{Gap: &g}, logrus.WarnLevel, time.Time{}, "gap") // the zero time is now
	}
	s.announced = append(s.announced, s.pending...)
	s.pending = s.pending[:0]
}

// Flush writes what has gathered, in one write. After an error it is lost: counted, and its record numbers go to the next
// ones. With nothing to write the error is that of the last write.
func (s *Sink) Flush() error {
	s.announce()
	if s.buf.Len() == 0 {
		return s.err
	}
	var err error
	if s.format != config.PCAPNG {
		err = s.out.mend()
	}
	if err == nil {
		err = s.out.write(s.buf.Bytes())
	}
	s.buf.Reset()
	lost, announced := s.gathered, s.announced
	s.gathered, s.announced = Gap{Reason: WriteError}, nil
	if err == nil {
		s.written, s.err = s.seq, nil
		return nil
	}
	s.seq = s.written
	s.lost.Add(lost.Lost)
	s.missed(lost)
	for _, g := range announced {
		s.missed(g)
	}
	s.err = fmt.Errorf("write log %s: %w", s.path, cause(err))
	return s.err
}

// Close writes what has gathered and closes the file.
func (s *Sink) Close() error {
	err := s.Flush()
	if closeErr := s.out.close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close log %s: %w", s.path, cause(closeErr))
	}
	return err
}
