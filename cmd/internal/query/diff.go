package query

import (
	"io"
	"time"
)

// Diff searches files, and prints the first connection of each kind that is not in others; it
// returns their number. Unlike with [Query.NewSince], the names in DNS queries count, too: a query
// is new if it goes to a new server, or asks for a new name to which no printed connection goes.
func Diff(q Query, others, files []string, w io.Writer) (n int, err error) {
	q.compared = newFresh(time.Time{})
	q.compared.ofQueries, q.compared.learns = true, true
	if err := Run(q, others, io.Discard); err != nil {
		return 0, err
	}
	q.compared.learns = false
	err = Run(q, files, w)
	return q.compared.printed, err
}
