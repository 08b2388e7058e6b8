package victorialogs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record"
)

// Found says how many records of a log a search finds.
type Found struct {
	fleet.LogID
	Stream      string    // that the store keeps it in
	First, Last uint64    // seq of the records with the least and the greatest
	Count       uint64    // records, each as often as it is there
	Time        time.Time // of the youngest one
}

// maxLogs is how many logs an answer may name.
const maxLogs = 100_000

var errLogs = hint.Fail(fmt.Errorf("more than %d logs have such records", maxLogs),
	"ask for one router with --router, or for a shorter time")

// Find returns the logs that have records which a search is for, ordered by router and log.
func (c *Client) Find(ctx context.Context, w *Wanted) (all []Found, err error) {
	const sums = " | stats by (router, log, _stream_id) count() n, min(seq) first, max(seq) last, max(_time) youngest" +
		" | sort by (router, log)"
	err = c.query(ctx, w.logsQL()+sums, maxLogs+1, func(row []byte) error {
		var one struct {
			Router, Log    string
			Stream         string `json:"_stream_id"`
			N, First, Last number
			Youngest       time.Time
		}
		if err := json.Unmarshal(row, &one); err != nil {
			return err
		}
		if len(all) == maxLogs {
			return errLogs
		}
		if one.Router == "" || one.Log == "" { // no router writes such
			return nil
		}
		all = append(all, Found{
			fleet.LogID{Router: one.Router, Log: one.Log},
			one.Stream,
			uint64(one.First), uint64(one.Last), uint64(one.N), one.Youngest,
		})
		return nil
	})
	return all, err
}

// Span is a part of a log.
type Span struct {
	fleet.LogID
	Stream      string // "" = not known
	First, Last uint64 // seq, both included
}

// Page calls f with the records of spans that a search is for, of each span at most the first ones,
// limit of them: ordered by number within a log, copies behind each other.
func (c *Client) Page(ctx context.Context, w *Wanted, spans []Span, limit int, f func(Row) error) error {
	logsQL := fmt.Sprintf("%s %s | fields router, log, seq, _msg"+
		" | sort by (seq, _msg) partition by (router, log) limit %d", ofSpans(spans), w.logsQL(), limit)
	return c.query(ctx, logsQL, len(spans)*limit, func(row []byte) error {
		return f(rowOf(row))
	})
}

// ofSpans returns a filter for the records of spans.
func ofSpans(spans []Span) string {
	var streams, parts []string
	for _, s := range spans {
		if s.Stream != "" {
			streams = append(streams, s.Stream)
		}
		parts = append(parts, fmt.Sprintf("router:=%s log:=%s seq:range[%d, %d]",
			quoted(s.Router), quoted(s.Log), s.First, s.Last))
	}
	text := "(" + strings.Join(parts, " or ") + ")"
	if len(streams) == len(spans) { // the store need not look at others
		text = "_stream_id:in(" + strings.Join(streams, ", ") + ") " + text
	}
	return text
}

// Counted is the records of a span.
type Counted struct {
	Count  uint64 // each as often as it is there
	Unique uint64 // different numbers among them
}

// MaxSpans is how many spans a question may have.
const MaxSpans = 128

// CountSpans counts the records of spans, at most one for each log. There may be more than
// MaxSpans.
func (c *Client) CountSpans(ctx context.Context, spans []Span) (map[fleet.LogID]Counted, error) {
	all := make(map[fleet.LogID]Counted)
	const sums = " | stats by (router, log, _stream_id) count() n, count_uniq(seq) u"
	for part := range slices.Chunk(spans, MaxSpans) {
		err := c.query(ctx, ofSpans(part)+sums, maxLogs, func(row []byte) error {
			var one struct {
				Router, Log string
				N, U        number
			}
			err := json.Unmarshal(row, &one)
			all[fleet.LogID{Router: one.Router, Log: one.Log}] = Counted{uint64(one.N), uint64(one.U)}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Singles calls f with one record of each span, the one with the least number. There may be more
// than MaxSpans.
func (c *Client) Singles(ctx context.Context, spans []Span, f func(Row) error) error {
	w := &Wanted{Filter: new(filter.Filter)}
	for part := range slices.Chunk(spans, MaxSpans) {
		if err := c.Page(ctx, w, part, 1, f); err != nil {
			return err
		}
	}
	return nil
}

// Latest returns the last number of each log that has records since a time.
func (c *Client) Latest(ctx context.Context, router string, since time.Time) ([]Span, error) {
	var all []Span
	logsQL := stream(fleet.LogID{Router: router}) + " seq:range[0, inf) _time:>=" + stamp(since) +
		" | stats by (router, log, _stream_id) min(seq) first, max(seq) last"
	err := c.query(ctx, logsQL, maxLogs, func(row []byte) error {
		var one struct {
			Router, Log string
			Stream      string `json:"_stream_id"`
			First, Last number
		}
		err := json.Unmarshal(row, &one)
		all = append(all, Span{
			fleet.LogID{Router: one.Router, Log: one.Log}, one.Stream, uint64(one.First), uint64(one.Last),
		})
		return err
	})
	return all, err
}

// maxValues is how many sets of values an answer may have.
const maxValues = 10_000_000

// groups are members of a record by which the store counts, by key of a filter.
var groups = map[string]string{
	"dst": "dst", "src": "src", "port": "dport", "proto": "proto", "process": "process",
}

// Count counts the records by which connections begin, each once, by their values of some keys, and
// calls f with each set of values. ok is false where the store cannot tell which records match.
func (c *Client) Count(
	ctx context.Context, w *Wanted, keys []string, f func(values []string, n uint64) error,
) (ok bool, err error) {
	terms, whole := w.Filter.Terms()
	for i := range terms {
		if _, exact := members[terms[i].Key]; !exact || logsQLOf(&terms[i]) == "" {
			whole = false
		}
	}
	var by []string
	for _, key := range keys {
		member, known := groups[key]
		whole = whole && known
		by = append(by, member)
	}
	if !whole {
		return false, nil
	}
	alone := *w
	alone.Joined = false
	count := "count()"
	if twice, err := c.haveCopies(ctx, &alone); err != nil {
		return true, err
	} else if twice { // this takes several times as long
		count = "count_uniq_hash(router, log, seq)"
	}
	logsQL := fmt.Sprintf("%s msg:in(handshake, datagram) | stats by (%s) %s n",
		alone.logsQL(), strings.Join(by, ", "), count)
	return true, c.query(ctx, logsQL, maxValues, func(row []byte) error {
		values, n := make([]string, len(by)), number(0)
		for key, value := range record.Members(row) {
			if string(key) == "n" {
				_ = n.UnmarshalJSON(value) // it has no errors
			}
			for i, member := range by {
				if string(key) == member {
					values[i] = record.Unquote(record.Text(value))
				}
			}
		}
		return f(values, uint64(n))
	})
}

// haveCopies reports whether the store has a record several times among those that a search is for.
func (c *Client) haveCopies(ctx context.Context, w *Wanted) (have bool, err error) {
	const sums = " | stats by (router, log) count() n, count_uniq(seq) u"
	err = c.query(ctx, w.logsQL()+sums, maxLogs, func(row []byte) error {
		var one struct{ N, U number }
		err := json.Unmarshal(row, &one)
		have = have || one.N != one.U
		return err
	})
	return have, err
}

// Head is the end of a log as its router has told it to the store: a line of package chain.
type Head struct {
	fleet.LogID
	Line []byte
}

// LastHeads returns the greatest number that heads of each log tell of.
func (c *Client) LastHeads(ctx context.Context, router string) (all []Row, err error) {
	logsQL := stream(fleet.LogID{Router: router}) + " msg:=head | stats by (router, log) max(head_seq) seq"
	err = c.query(ctx, logsQL, maxLogs, func(row []byte) error {
		var one struct {
			Router, Log string
			Seq         number
		}
		err := json.Unmarshal(row, &one)
		all = append(all, Row{LogID: fleet.LogID{Router: one.Router, Log: one.Log}, Seq: uint64(one.Seq)})
		return err
	})
	return all, err
}

// maxHeads is how many heads of a log are read, the last ones.
const maxHeads = 1000

// Heads returns the last heads of the logs of a router, or with "" of all.
func (c *Client) Heads(ctx context.Context, router string) (all []Head, err error) {
	logsQL := fmt.Sprintf("%s msg:=head | fields router, log, head_seq, _msg"+
		" | sort by (head_seq desc) partition by (router, log) limit %d",
		stream(fleet.LogID{Router: router}), maxHeads)
	err = c.query(ctx, logsQL, maxHeads*1000, func(row []byte) error {
		r := rowOf(row)
		all = append(all, Head{r.LogID, r.Line})
		return nil
	})
	return all, err
}
