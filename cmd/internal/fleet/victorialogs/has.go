package victorialogs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"syntap/cmd/internal/fleet"
)

// number is a number in the answer to a query, where it is a string.
type number uint64

// UnmarshalJSON reads the digits between quotes. Of no record at all a number is empty or NaN. A
// text that is no number of a record stands for 0, and a fraction for its whole part: one client
// that writes such must not spoil the answer about others.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = 0
	var text json.Number
	if json.Unmarshal(b, &text) != nil {
		return nil
	}
	if v, err := text.Int64(); err == nil {
		*n = number(max(0, v))
	} else if f, err := text.Float64(); err == nil && f > 0 {
		*n = number(min(f, 1<<62))
	}
	return nil
}

// ofRange returns the filter for the records of a range. Heads have no seq.
func ofRange(id fleet.LogID, r fleet.Range) string {
	last := r.Last
	if last == 0 {
		last = math.MaxInt64
	}
	text := fmt.Sprintf("%s seq:range[%d, %d]", stream(id), r.First, last)
	// Times of records are whole microseconds.
	const layout = "2006-01-02T15:04:05.000000Z"
	if !r.Begin.IsZero() {
		text += " _time:>=" + r.Begin.UTC().Truncate(time.Microsecond).Format(layout)
	}
	if !r.End.IsZero() {
		text += " _time:<=" + r.End.UTC().Add(time.Microsecond).Format(layout)
	}
	return text
}

// counted is how many numbers a store counts one by one in a question: it holds all in memory.
const counted = 100_000

// Has returns the records of a range that the store has, the least number first.
func (c *Client) Has(ctx context.Context, id fleet.LogID, r fleet.Range) ([]fleet.Run, error) {
	var all struct{ N, U, First, Last number }
	const sums = " | stats count() n, count_uniq(seq) u, min(seq) first, max(seq) last"
	err := c.query(ctx, ofRange(id, r)+sums, 1, func(line []byte) error { return json.Unmarshal(line, &all) })
	switch {
	case err != nil:
		return nil, err
	case all.N == 0:
		return nil, nil
	case all.First > all.Last, uint64(all.First) < r.First, r.Last > 0 && uint64(all.Last) > r.Last:
		return nil, fmt.Errorf("answer to a query: records %d to %d of those from %d to %d", all.First, all.Last, r.First, r.Last)
	case all.N == all.U && all.U == all.Last-all.First+1:
		return []fleet.Run{{First: uint64(all.First), Last: uint64(all.Last), Copies: 1}}, nil
	}
	r.First, r.Last = uint64(all.First), uint64(all.Last)
	if r.Last-r.First < counted {
		return c.each(ctx, id, r)
	}
	low, high := r, r
	low.Last = r.First + (r.Last-r.First)/2
	high.First = low.Last + 1
	runs, err := c.Has(ctx, id, low)
	if err != nil {
		return nil, err
	}
	others, err := c.Has(ctx, id, high)
	for _, run := range others {
		runs = joined(runs, run)
	}
	return runs, err
}

// each is Has for a range in which some numbers are missing, or there more than once.
func (c *Client) each(ctx context.Context, id fleet.LogID, r fleet.Range) ([]fleet.Run, error) {
	var all []fleet.Run
	err := c.query(ctx, ofRange(id, r)+" | stats by (seq) count() n", counted, func(line []byte) error {
		var one struct{ Seq, N number }
		err := json.Unmarshal(line, &one)
		all = append(all, fleet.Run{First: uint64(one.Seq), Last: uint64(one.Seq), Copies: int(one.N)})
		return err
	})
	slices.SortFunc(all, func(a, b fleet.Run) int { return cmp.Compare(a.First, b.First) })
	var runs []fleet.Run
	for _, one := range all {
		runs = joined(runs, one)
	}
	return runs, err
}

// joined adds a run behind others, to the last one where it goes on from that.
func joined(runs []fleet.Run, next fleet.Run) []fleet.Run {
	if last := len(runs) - 1; last >= 0 && runs[last].Last+1 == next.First && runs[last].Copies == next.Copies {
		runs[last].Last = next.Last
		return runs
	}
	return append(runs, next)
}

// Logs returns the logs of a router, or with "" those of all, ordered by router and log.
func (c *Client) Logs(ctx context.Context, router string) ([]fleet.State, error) {
	const sums = " seq:range[1, inf) | stats by (router, log) min(seq) first, max(seq) last, max(_time) youngest" +
		" | sort by (router, log)"
	var all []fleet.State
	err := c.query(ctx, stream(fleet.LogID{Router: router})+sums, maxLogs, func(line []byte) error {
		var one struct {
			Router, Log string
			First, Last number
			Youngest    time.Time
		}
		if err := json.Unmarshal(line, &one); err != nil {
			return err
		}
		all = append(all, fleet.State{
			LogID: fleet.LogID{Router: one.Router, Log: one.Log},
			First: uint64(one.First), Last: uint64(one.Last), Time: one.Youngest,
		})
		return nil
	})
	return all, err
}
