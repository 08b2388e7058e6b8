package victorialogs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"syntap/cmd/internal/fleet"
)

// page is how many records Lines asks for at once: VictoriaLogs sorts them in memory.
const page = 10_000

// maxCopies is how often the records of a page may be there, on average.
const maxCopies = 100

// Lines calls f with the records of a range in the order of their numbers.
func (c *Client) Lines(
	ctx context.Context, id fleet.LogID, r fleet.Range, f func(seq uint64, line []byte) error,
) error {
	if r.Last == 0 {
		logs, err := c.Logs(ctx, id.Router)
		if err != nil {
			return err
		}
		for _, log := range logs {
			if log.LogID == id {
				r.First, r.Last = max(r.First, log.First), log.Last
			}
		}
	}
	for r.First <= r.Last {
		part := r
		part.Last = min(r.Last, r.First+page-1)
		rows, err := c.lines(ctx, id, part, f)
		if err != nil || part.Last == r.Last {
			return err
		}
		r.First = part.Last + 1
		if rows == 0 { // a record may have any number
			if r.First, err = c.next(ctx, id, r); err != nil || r.First == 0 {
				return err
			}
		}
	}
	return nil
}

// next returns the least number of the records in a range; 0 if there is none.
func (c *Client) next(ctx context.Context, id fleet.LogID, r fleet.Range) (uint64, error) {
	var all struct{ N, First number }
	const sums = " | stats count() n, min(seq) first"
	err := c.query(ctx, ofRange(id, r)+sums, 1, func(line []byte) error { return json.Unmarshal(line, &all) })
	switch first := uint64(all.First); {
	case err != nil || all.N == 0:
		return 0, err
	case first < r.First || first > r.Last:
		return 0, fmt.Errorf("answer to a query: record %d of those from %d to %d", first, r.First, r.Last)
	default:
		return first, nil
	}
}

// lines does a page, and counts its rows.
func (c *Client) lines(
	ctx context.Context, id fleet.LogID, r fleet.Range, f func(seq uint64, line []byte) error,
) (rows int, err error) {
	var before Row
	// Copies of a record stand behind each other, as lines of a number are sorted too.
	const order = " | fields seq, _msg | sort by (seq, _msg)"
	err = c.query(ctx, ofRange(id, r)+order, page*maxCopies, func(row []byte) error {
		rows++
		one := rowOf(row)
		if one.Line == nil {
			return fmt.Errorf("answer to a query: %.300q", row)
		}
		if one.Seq == before.Seq && bytes.Equal(one.Line, before.Line) {
			return nil
		}
		before = one
		return f(one.Seq, one.Line)
	})
	return rows, err
}
