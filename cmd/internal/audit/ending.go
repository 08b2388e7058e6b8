package audit

import (
	"time"

	"github.com/sirupsen/logrus"
)

// End is what the last record of a run says: how many records of each kind the log has of it, and
// of its frames.
type End struct {
	Records map[string]uint64
	Frames  *Frames // nil = nobody has counted them
}

// Frames is what became of the frames that came out of the TUN.
type Frames struct {
	Read      uint64
	Accounted uint64 // handed on, or dropped and counted
}

// kinds are the kinds of records that a run has.
var kinds = [...]string{"handshake", "flow", "gap"}

// counts is how many records there are, by the place of their kind in kinds.
type counts [len(kinds)]uint64

func (c *counts) add(message string) {
	for i := range kinds {
		if kinds[i] == message {
			c[i]++
		}
	}
}

// end adds the last record of a run that stops in order.
func (s *Sink) end(f *Frames) {
	e := End{Records: make(map[string]uint64), Frames: f}
	s.announce()
	for i, n := range s.counts {
		e.Records[kinds[i]] = n
	}
	s.log(Event{End: &e}, logrus.InfoLevel, time.Now(), "end")
}
