package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// TopKeys are the keys that Query.Top can count.
func TopKeys() []string { return []string{"src", "dst", "port", "process", "outcome"} }

// topMembers are the members of a record that the names of TopKeys stand for.
var topMembers = map[string]record.Member{
	"src": record.Src, "dst": record.Dst, "port": record.DPort, "process": record.Process, "outcome": record.Outcome,
}

// count counts a handshake under its value; one without the member is not counted.
func (q *Query) count(counts map[string]uint64, l *record.Line) {
	if string(l.Get(record.Msg)) != "handshake" {
		return
	}
	if value := l.Get(topMembers[q.Top]); value != nil {
		counts[string(value)]++
	}
}

// printTop prints values with their counts, the largest first.
func (q *Query) printTop(counts map[string]uint64, w io.Writer) error {
	values := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for _, value := range values {
		text := record.Unquote([]byte(value))
		line := fmt.Sprintf("%8d  %s\n", counts[value], terminal.Clean(text))
		if q.Format == JSON {
			b, err := json.Marshal(map[string]any{q.Top: text, "count": counts[value]})
			if err != nil {
				return err
			}
			line = string(terminal.CleanJSON(b)) + "\n"
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}
