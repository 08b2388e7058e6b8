package victorialogs

import (
	"bytes"
	"context"
	"fmt"

	"syntap/cmd/internal/fleet"
)

// page is how many records Lines asks for at once: VictoriaLogs sorts them in memory.
const page = 10_000

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
	for first := r.First; first <= r.Last; first += page {
		part := r
		part.First, part.Last = first, min(r.Last, first+page-1)
		if err := c.lines(ctx, id, part, f); err != nil {
			return err
		}
	}
	return nil
}

// lines does a page.
func (c *Client) lines(
	ctx context.Context, id fleet.LogID, r fleet.Range, f func(seq uint64, line []byte) error,
) error {
	var before Row
	// Copies of a record stand behind each other, as lines of a number are sorted too.
	const order = " | fields seq, _msg | sort by (seq, _msg)"
	return c.query(ctx, ofRange(id, r)+order, func(row []byte) error {
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
}
