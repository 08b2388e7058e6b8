package jetstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"syntap/cmd/internal/fleet"
)

// stored is a message of the stream.
type stored struct {
	end
	content []byte
	at      time.Time // when the stream took it
}

// endOrNil returns the end of a message, nil for none.
func (m *stored) endOrNil() *end {
	if m == nil {
		return nil
	}
	return &m.end
}

// last returns the last message of a subject, nil if it has none. Who may not publish on the
// subject may read all of the stream, from its leader.
func (c *Client) last(ctx context.Context, subject string) (*stored, error) {
	floor, known, err := c.floor(ctx, subject)
	if err == nil && !known {
		return c.lastOfLeader(ctx, subject)
	}
	if err != nil || floor == 0 {
		return nil, err
	}
	for {
		m, err := c.get(ctx, "."+subject, nil)
		if err != nil || m != nil && m.sequence >= floor {
			return m, err
		}
		if err := pause(ctx); err != nil { // another node has answered
			return nil, err
		}
	}
}

// lastOfLeader asks the leader for the last message of a subject; nil = it has none.
func (c *Client) lastOfLeader(ctx context.Context, subject string) (*stored, error) {
	question, err := json.Marshal(map[string]any{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	answer, err := c.nats.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+streamName, question)
	if err != nil {
		return nil, fmt.Errorf("ask the leader of stream %s: %w", streamName, err)
	}
	var message struct {
		Message struct {
			Seq  uint64 `json:"seq"`
			Hdrs []byte `json:"hdrs"`
			Data []byte `json:"data"`

			Time time.Time `json:"time"`
		} `json:"message"`
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &message); err != nil {
		return nil, fmt.Errorf("answer of stream %s: %w", streamName, err)
	}
	if e := message.Error; e != nil {
		if e.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, nil //nolint:nilnil // documented
		}
		return nil, fmt.Errorf("stream %s: %w", streamName, e)
	}
	header, err := nats.DecodeHeadersMsg(message.Message.Hdrs)
	if err != nil {
		return nil, fmt.Errorf("answer of stream %s: %w", streamName, err)
	}
	e, err := parseEnd(header, message.Message.Seq)
	if err != nil {
		return nil, err
	}
	return &stored{*e, message.Message.Data, message.Message.Time}, nil
}

// next returns the first message of a subject from a sequence number on, nil if there is none, or
// not yet where the question was answered.
func (c *Client) next(ctx context.Context, subject string, sequence uint64) (*stored, error) {
	body, err := json.Marshal(map[string]any{"seq": sequence, "next_by_subj": subject})
	if err != nil {
		return nil, err
	}
	return c.get(ctx, "", body)
}

// firstSince returns the first message of a subject that the stream has taken since a time, nil if
// there is none, or not yet where the question was answered.
func (c *Client) firstSince(ctx context.Context, subject string, at time.Time) (*stored, error) {
	body, err := json.Marshal(map[string]any{"start_time": at, "next_by_subj": subject})
	if err != nil {
		return nil, err
	}
	return c.get(ctx, "", body)
}

// get asks a node for a message (Direct Get, ADR-31 of NATS); nil = the node has none.
func (c *Client) get(ctx context.Context, suffix string, body []byte) (*stored, error) {
	answer, err := c.nats.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+streamName+suffix, body)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf(
			"stream %s gives no messages: is allow_direct set? %w", streamName, err,
		)
	}
	if err != nil {
		return nil, err
	}
	switch status := answer.Header.Get("Status"); status {
	case "":
	case "404":
		return nil, nil //nolint:nilnil // documented
	default:
		return nil, fmt.Errorf(
			"stream %s: %s %s", streamName, status, answer.Header.Get("Description"),
		)
	}
	sequence, err := strconv.ParseUint(answer.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("answer of stream %s: %w", streamName, err)
	}
	e, err := parseEnd(answer.Header, sequence)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, answer.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("answer of stream %s: %w", streamName, err)
	}
	return &stored{*e, answer.Data, at}, nil
}

// Has returns the records that the stream has taken. Those that its retention has removed since
// count as there. The times of the range do not matter.
func (c *Client) Has(ctx context.Context, id fleet.LogID, r fleet.Range) ([]fleet.Run, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	m, err := c.last(ctx, subject(id))
	if err != nil || m == nil {
		return nil, err
	}
	return m.runs(r), nil
}

// questions are asked at a time.
const questions = 16

// Logs returns the logs of a router, or of all.
func (c *Client) Logs(ctx context.Context, router string) ([]fleet.State, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	filter := subjectPrefix + "*.*"
	if router != "" {
		filter = subjectPrefix + token(router) + ".*"
	}
	stream, err := c.js.Stream(ctx, streamName)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", streamName, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", streamName, err)
	}
	var all []fleet.State
	var mu sync.Mutex // guards all
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(questions)
	for subject, messages := range info.State.Subjects {
		id, ok := parseSubject(subject)
		if !ok {
			continue
		}
		asking.Go(func() error {
			state, ok, err := c.state(ctx, id, messages)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				all = append(all, state)
			}
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b fleet.State) int {
		return cmp.Or(cmp.Compare(a.Router, b.Router), cmp.Compare(a.Log, b.Log))
	})
	return all, nil
}

// state returns the state of a log that has so many messages in the stream; ok is false if they
// have gone meanwhile.
func (c *Client) state(
	ctx context.Context, id fleet.LogID, messages uint64,
) (state fleet.State, ok bool, err error) {
	s := subject(id)
	m, err := c.last(ctx, s)
	if err != nil || m == nil {
		return state, false, err
	}
	state = fleet.State{LogID: id, First: m.Start, Last: m.Last, Time: m.End}
	if messages >= m.Messages {
		return state, true, nil
	}
	// Retention has removed some. A router may not ask which is now the first, and does not need to
	// know: it gets no answer.
	ctx, cancel := context.WithTimeout(ctx, forbidden)
	defer cancel()
	if first, err := c.next(ctx, s, 1); err == nil && first != nil {
		state.First = first.First
	}
	return state, true, nil
}

// forbidden is how long an answer may take that perhaps never comes.
const forbidden = 2 * time.Second
