package query

import (
	"io"
	"time"
)

// Diff searches files, and prints the connections whose like is not in others, the first of each;
// it returns their number. Other than with [Query.NewSince] the names in DNS queries count, too: a
// query is new that asks for a new name, unless a connection to that name is printed, or that goes
// to a new server.
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
