package audit

import (
	"fmt"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/record"
)

// checkHead compares the end of a chained log with its heads. A difference is reported, and
// recorded in the log: the chain continues from the head, so that verify finds the hole too.
func (s *Sink) checkHead() {
	h, ok, err := s.heads.Read()
	if !ok {
		if s.end.seq > 0 && !s.mixed {
			s.broken(loss{reason: record.HeadMissing, last: s.end.seq}, logrus.Fields{"error": err},
				"handshake log has no head: whether records are missing at its end cannot be told")
		}
		return
	}
	fields := logrus.Fields{
		"last": s.end.seq, "head": h.Seq, "head_time": h.Time, "head_hash": fmt.Sprintf("%x", h.Hash),
	}
	switch {
	case h.Seq > s.end.seq:
		s.broken(loss{reason: record.Cut, first: s.end.seq + 1, last: h.Seq}, fields,
			"handshake log was cut while it was closed: records are missing at its end")
		s.end.seq = h.Seq
	case s.mixed: // it went on without a chain
		return
	case h.Seq == s.end.seq && h.Hash == s.end.hash:
		return
	case h.Seq < s.end.seq && chain.Has(s.path, s.chain, h): // a process that was killed between a batch and its head
		return
	default:
		s.broken(loss{reason: record.Altered, last: h.Seq}, fields,
			"handshake log was altered while it was closed: it has another record than its head says")
	}
	s.chain.Last, s.end.hash = h.Hash, h.Hash
	s.safe = s.end
}

// broken records and reports damage of the log.
func (s *Sink) broken(l loss, fields logrus.Fields, message string) {
	l.from, l.to = s.now(), s.now()
	l.n = 1
	if l.first > 0 {
		l.n = l.last - l.first + 1
	}
	s.missed(l)
	s.logger.WithFields(fields).WithField("path", s.path).Error(message)
}
