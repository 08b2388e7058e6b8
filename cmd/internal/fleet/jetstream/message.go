package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"syntap/cmd/internal/fleet"
)

// Limits of messages.
const (
	maxLines   = 256 << 10 // bytes of lines in a message, but for one that is longer by itself
	maxContent = 64 << 20  // bytes of lines that are read of a message
	maxGaps    = 64        // of a header
)

// headerName is the header of a message that holds its end in JSON.
const headerName = "Syntap"

// end is the state of a log in the stream, with and after a message. Each message has its own, so
// that the last one tells it all.
type end struct {
	First uint64    `json:"first"` // seq of the first record of this message
	Last  uint64    `json:"last"`  // of its last
	Begin time.Time `json:"begin"` // least time of its records
	End   time.Time `json:"end"`   // greatest

	// Start is the seq of the first record that the log had in the stream. The stream may have
	// thrown it away since, as retention asks.
	Start uint64 `json:"start"`

	// Gaps are the first and the last seq of records after Start that were never there.
	Gaps [][2]uint64 `json:"gaps,omitempty"`

	// Messages is the number of messages that the log had in the stream.
	Messages uint64 `json:"messages"`

	Hash     []byte `json:"hash"` // SHA-256 of the last line
	sequence uint64 // of the message in the stream
}

// after returns the end with a message more than before, which may be nil.
func after(before *end, records []fleet.Record) *end {
	first, last := &records[0], &records[len(records)-1]
	hash := sha256.Sum256(last.Line)
	e := &end{
		First: first.Seq, Last: last.Seq, Begin: first.Time, End: first.Time,
		Start: first.Seq, Messages: 1, Hash: hash[:],
	}
	for _, r := range records {
		if r.Time.Before(e.Begin) {
			e.Begin = r.Time
		}
		if r.Time.After(e.End) {
			e.End = r.Time
		}
	}
	if before == nil {
		return e
	}
	e.Start, e.Messages, e.Gaps = before.Start, before.Messages+1, before.Gaps
	if e.First > before.Last+1 {
		e.Gaps = append(slices.Clip(e.Gaps), [2]uint64{before.Last + 1, e.First - 1})
	}
	if more := len(e.Gaps) - maxGaps; more > 0 { // the records before are as if they were not there
		e.Start, e.Gaps = e.Gaps[more-1][1]+1, e.Gaps[more:]
	}
	return e
}

// runs returns the records that are there.
func (e *end) runs(r fleet.Range) (all []fleet.Run) {
	from := e.Start
	behind := [2]uint64{e.Last + 1, e.Last + 1}
	for _, gap := range append(slices.Clip(e.Gaps), behind) {
		run := fleet.Run{First: max(from, r.First), Last: gap[0] - 1, Copies: 1}
		if r.Last != 0 {
			run.Last = min(run.Last, r.Last)
		}
		if run.First <= run.Last {
			all = append(all, run)
		}
		from = gap[1] + 1
	}
	return all
}

// errForked says that the stream has another record of the same number.
var errForked = errors.New(
	"the stream has another record of this number: two programs write one log",
)

// without returns the records that are not there yet. e may be nil.
func (e *end) without(records []fleet.Record) ([]fleet.Record, error) {
	if e == nil || len(records) == 0 || records[0].Seq > e.Last {
		return records, nil
	}
	for i := range records {
		if records[i].Seq != e.Last {
			continue
		}
		if hash := sha256.Sum256(records[i].Line); !bytes.Equal(hash[:], e.Hash) {
			return nil, &fleet.Refused{Err: fmt.Errorf("record %d: %w", e.Last, errForked)}
		}
		return records[i+1:], nil
	}
	return nil, &fleet.Refused{Err: fmt.Errorf(
		"the stream has the log up to record %d, and takes none before that", e.Last)}
}

// message makes a message of the first of the records, as many as fit and follow each other.
func message(
	z *zstd.Encoder, subject string, before *end, records []fleet.Record,
) (*nats.Msg, *end, error) {
	var lines bytes.Buffer
	n := 0
	for n < len(records) {
		r := &records[n]
		if n > 0 && (r.Seq != records[n-1].Seq+1 || lines.Len()+len(r.Line) >= maxLines) {
			break
		}
		lines.Write(r.Line)
		lines.WriteByte('\n')
		n++
	}
	e := after(before, records[:n])
	header, err := json.Marshal(e)
	if err != nil {
		return nil, nil, err
	}
	m := nats.NewMsg(subject)
	m.Header.Set(headerName, string(header))
	m.Data = z.EncodeAll(lines.Bytes(), nil)
	return m, e, nil
}

// parseEnd reads the header of a message.
func parseEnd(h nats.Header, sequence uint64) (*end, error) {
	e := &end{sequence: sequence}
	err := json.Unmarshal([]byte(h.Get(headerName)), e)
	inOrder := 0 < e.Start && e.Start <= e.First && e.First <= e.Last && len(e.Gaps) <= maxGaps
	if err == nil && !inOrder {
		err = errors.New("its numbers are in no order")
	}
	if err != nil {
		return nil, fmt.Errorf(
			"message %d of the stream has a header that syntap does not write: %w", sequence, err,
		)
	}
	return e, nil
}

// eachLine calls f with the lines of a message and their numbers.
func eachLine(
	z *zstd.Decoder, e *end, content []byte, f func(seq uint64, line []byte) error,
) error {
	lines, err := z.DecodeAll(content, nil)
	if err != nil {
		return fmt.Errorf("message %d of the stream: %w", e.sequence, err)
	}
	seq := e.First
	for line := range bytes.Lines(lines) {
		if err := f(seq, bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return err
		}
		seq++
	}
	if seq != e.Last+1 {
		return fmt.Errorf(
			"message %d of the stream has %d records, its header names %d", e.sequence, seq-e.First,
			e.Last-e.First+1,
		)
	}
	return nil
}
