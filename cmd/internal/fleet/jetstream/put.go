package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"syntap/cmd/internal/fleet"
)

// Put sends a batch, but for the records that are there. Those that it has sent are on disk.
func (c *Client) Put(ctx context.Context, b *fleet.Batch) error {
	if err := c.connect(); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	s := subject(b.LogID)
	for records := withoutHeads(b.Records); len(records) > 0; {
		last, known := c.ends[s]
		if !known {
			m, err := c.last(ctx, s)
			if err != nil {
				return err
			}
			if c.muted.is() {
				return fmt.Errorf("this user may not publish on %s", s)
			}
			last = m.endOrNil()
			c.ends[s] = last
		}
		var err error
		if records, err = last.without(records); err != nil || len(records) == 0 {
			return err
		}
		if err = c.publish(ctx, s, last, records); err != nil {
			delete(c.ends, s)
			if !isConflict(err) {
				return classified(err)
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// withoutHeads leaves out heads of the log: the header of its last message vouches for its end.
func withoutHeads(records []fleet.Record) []fleet.Record {
	isHead := func(r fleet.Record) bool { return r.Head > 0 }
	if !slices.ContainsFunc(records, isHead) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), isHead)
}

// publish sends a message with the first of the records, and keeps the new end.
func (c *Client) publish(
	ctx context.Context, subject string, last *end, records []fleet.Record,
) error {
	m, e, err := message(c.encoder, subject, last, records)
	if err != nil {
		return err
	}
	var expected uint64
	if last != nil {
		expected = last.sequence
	}
	ack, err := c.js.PublishMsg(
		ctx, m, jetstream.WithExpectLastSequencePerSubject(expected),
		jetstream.WithExpectStream(streamName),
	)
	if err != nil {
		return err
	}
	e.sequence = ack.Sequence
	c.ends[subject] = e
	return nil
}

// floor returns the sequence number of the last message of a subject as its leader has it, 0 if
// there is none. known is false where this user may not publish on the subject.
func (c *Client) floor(
	ctx context.Context, subject string,
) (sequence uint64, known bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	word := c.muted.word()
	go func() {
		select {
		case <-word:
			cancel()
		case <-ctx.Done():
		}
	}()
	for !c.muted.is() {
		_, err := c.js.PublishMsg(
			ctx, nats.NewMsg(subject), jetstream.WithExpectLastSequencePerSubject(math.MaxInt64),
			jetstream.WithExpectStream(streamName),
		)
		switch api := (*jetstream.APIError)(nil); {
		case c.muted.is():
		case err == nil:
			return 0, false, fmt.Errorf(
				"stream %s does not heed Nats-Expected-Last-Subject-Sequence", streamName,
			)
		case !errors.As(err, &api) || !isConflict(err):
			return 0, false, classified(err)
		case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
			_, err := fmt.Sscanf(api.Description, "wrong last sequence: %d", &sequence)
			return sequence, err == nil, err
		default: // a message is on its way
			if err := pause(ctx); err != nil {
				return 0, false, err
			}
		}
	}
	return 0, false, nil
}

// isConflict reports whether the last message of a subject was another one than expected, or may
// be soon.
func isConflict(err error) bool {
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// classified returns an error of the server as fleet.Receiver has it.
func classified(err error) error {
	api := (*jetstream.APIError)(nil)
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf(
			"no stream %s takes the records, or it has no leader (configs/fleet): %w",
			streamName, err,
		)
	case errors.Is(err, nats.ErrMaxPayload),
		errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return &fleet.Refused{Err: err}
	case errors.As(err, &api): // the server has refused the message
		return &fleet.Busy{Err: err}
	}
	return err
}

// pause waits a moment.
func pause(ctx context.Context) error {
	select {
	case <-time.After(20 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
