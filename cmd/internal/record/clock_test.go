package record

import (
	"testing"
	"time"
)

// A clock writes what package time does, in any order of times.
func TestClock(t *testing.T) {
	t.Parallel()
	var c clock
	east := time.FixedZone("", 5400)
	for _, at := range []time.Time{
		{},
		time.Unix(0, 0),
		time.Unix(0, 999),
		time.Unix(0, 999_999_999),
		time.Unix(1, 0),
		start,
		start.In(east),
		start.Add(123456 * time.Microsecond),
		time.Unix(-1, 500_000_000),
		time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC),
	} {
		want := at.UTC().Format("2006-01-02T15:04:05.000000Z")
		if got := string(c.append(nil, at)); got != want {
			t.Errorf("%v is written %s, want %s", at, got, want)
		}
	}
}
