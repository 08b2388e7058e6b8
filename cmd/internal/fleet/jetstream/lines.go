package jetstream

import (
	"bytes"
	"context"
	"sync"
	"time"

	"syntap/cmd/internal/fleet"
)

// Lines calls f with the records of a range. What is read goes from message to message, so that a
// range that lies in the last one takes no right but to read that.
func (c *Client) Lines(
	ctx context.Context, id fleet.LogID, r fleet.Range, f func(seq uint64, line []byte) error,
) error {
	if err := c.connect(); err != nil {
		return err
	}
	s := subject(id)
	last, err := c.within(ctx, func(ctx context.Context) (*stored, error) { return c.last(ctx, s) })
	if err != nil || last == nil || r.First > last.Last {
		return err
	}
	if r.First >= last.First {
		return c.linesOf(last, r, f)
	}
	for sequence := c.places.before(s, r.First); ; {
		m, err := c.within(ctx, func(ctx context.Context) (*stored, error) {
			return c.nextUpTo(ctx, s, sequence, last.sequence)
		})
		if err != nil || m == nil || r.Last != 0 && m.First > r.Last {
			return err
		}
		c.places.note(s, place{m.First, m.sequence})
		if err := c.linesOf(m, r, f); err != nil || m.sequence >= last.sequence {
			return err
		}
		sequence = m.sequence + 1
	}
}

// ahead is how far the clock of a router may be ahead of the stream's.
const ahead = time.Hour

// FirstSince returns a number of a log before which no record is of a time or later, unless the
// router's clock was an hour ahead of the stream's; ok is false where all are older.
func (c *Client) FirstSince(
	ctx context.Context, id fleet.LogID, at time.Time,
) (first uint64, ok bool, err error) {
	if err := c.connect(); err != nil {
		return 0, false, err
	}
	s, at := subject(id), at.Add(-ahead)
	m, err := c.within(ctx, func(ctx context.Context) (*stored, error) {
		last, err := c.last(ctx, s)
		if err != nil || last == nil || last.at.Before(at) {
			return nil, err
		}
		for {
			m, err := c.firstSince(ctx, s, at)
			if err != nil || m != nil {
				return m, err
			}
			if err := pause(ctx); err != nil { // another node has answered
				return nil, err
			}
		}
	})
	if err != nil || m == nil {
		return 0, false, err
	}
	return m.First, true, nil
}

// within asks a question that may take the client's timeout.
func (c *Client) within(
	ctx context.Context, ask func(ctx context.Context) (*stored, error),
) (*stored, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return ask(ctx)
}

// nextUpTo returns the next message of a subject, which has one with the sequence number last.
// Where a node does not know it yet another is asked; nil = it has been removed since.
func (c *Client) nextUpTo(
	ctx context.Context, subject string, sequence, last uint64,
) (*stored, error) {
	for sequence <= last {
		m, err := c.next(ctx, subject, sequence)
		if err != nil || m != nil {
			return m, err
		}
		if m, err := c.last(ctx, subject); err != nil || m == nil {
			return nil, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // documented
}

// linesOf calls f with the records of a range that a message has.
func (c *Client) linesOf(m *stored, r fleet.Range, f func(seq uint64, line []byte) error) error {
	outside := func(begin, end time.Time) bool {
		return !r.Begin.IsZero() && end.Before(r.Begin) || !r.End.IsZero() && begin.After(r.End)
	}
	if m.Last < r.First || outside(m.Begin, m.End) {
		return nil
	}
	timed := !r.Begin.IsZero() || !r.End.IsZero()
	return eachLine(c.decoder, &m.end, m.content, func(seq uint64, line []byte) error {
		if seq < r.First || r.Last != 0 && seq > r.Last {
			return nil
		}
		if t, ok := timeOf(line); timed && ok && outside(t, t) {
			return nil
		}
		return f(seq, line)
	})
}

// timeOf returns the time of a record, which is its first member.
func timeOf(line []byte) (time.Time, bool) {
	text, ok := bytes.CutPrefix(line, []byte(`{"time":"`))
	text, _, found := bytes.Cut(text, []byte(`"`))
	t, err := time.Parse(time.RFC3339Nano, string(text))
	return t, ok && found && err == nil
}

// place says that the message with a sequence number begins with a record.
type place struct{ first, sequence uint64 }

// places are the messages that were read last, one a subject: who reads a log in pages goes on
// there.
type places struct {
	mu sync.Mutex
	of map[string]place
}

// before returns a sequence number from which on the messages of a subject have a record and all
// after it.
func (p *places) before(subject string, seq uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, ok := p.of[subject]; ok && at.first <= seq {
		return at.sequence
	}
	return 1
}

func (p *places) note(subject string, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = make(map[string]place)
	}
	p.of[subject] = at
}
