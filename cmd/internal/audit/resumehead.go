package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// checkHead compares the end of a chained log with its heads. A difference is reported, and
// recorded in the log: the chain goes on from the head, so that verify finds the hole too.
func (s *Sink) checkHead(c config.Sink) {
	places := []string{c.Path + logfile.HeadSuffix}
	for _, to := range c.ChainAnchor {
		if to != config.Journald {
			places = append(places, to)
		}
	}
	var heads []head
	var unreadable error
	for _, path := range places {
		read, err := readHeads(s.chain, path)
		if err != nil {
			unreadable = err
			continue
		}
		for _, h := range read {
			if path != places[0] && h.Log != s.vouch.log {
				unreadable = fmt.Errorf("%s: it is the head of %s", path, h.Log)
				continue
			}
			heads = append(heads, h)
		}
	}
	if len(heads) == 0 {
		if s.end.seq > 0 && !s.mixed {
			s.broken(loss{reason: record.HeadMissing, last: s.end.seq}, logrus.Fields{"error": unreadable},
				"handshake log has no head: whether records are missing at its end cannot be told")
		}
		return
	}
	h := slices.MaxFunc(heads, func(a, b head) int { return cmp.Compare(a.Seq, b.Seq) })
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
	case h.Seq < s.end.seq && s.has(h): // a process that was killed between a batch and its head
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

// has reports whether the record of a head is in the log.
func (s *Sink) has(h head) bool {
	files, err := logfile.Files(s.path)
	if err != nil {
		return false
	}
	for _, file := range slices.Backward(files) {
		seq, err := record.FirstSeq(file)
		if err != nil || seq == 0 || seq > h.Seq {
			continue
		}
		r, err := logfile.OpenRead(file)
		if err != nil {
			return false
		}
		found := false
		lines := bufio.NewReaderSize(r, record.MaxLine)
		for line, err := lines.ReadSlice('\n'); err == nil && !found; line, err = lines.ReadSlice('\n') {
			if seq, _ := record.SeqOf(line); seq == h.Seq {
				l, ok := record.LinkOf(bytes.TrimSuffix(line, []byte("\n")))
				found = ok && l.Hash == h.Hash && s.chain.Sum(l.Text) == l.Hash
			}
		}
		r.Close()
		return found
	}
	return false
}
