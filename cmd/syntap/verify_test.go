package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/record"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	frames := &record.Frames{Read: 40, Accounted: 40}
	runs := []chain.Run{
		{ID: "a", First: 7, Last: 8, Ended: true, Frames: frames},
		{First: 9, Last: 10, Begins: true, Ended: true, Frames: frames},
		{ID: "b", First: 11, Last: 11, Begins: true},
		{ID: "c", First: 12, Last: 15, Begins: true, Ended: true, Frames: frames},
		{ID: "d", First: 16, Last: 17, Begins: true},
	}
	const want = `2 runs are complete: each has as many records as it counted, and all 80 frames of the TUN are accounted for
run a, seq 7 to 8, ended in order, but its first records were rotated away
run b, seq 11 to 11, was killed: how many records it wrote cannot be told
run d, seq 16 to 17, goes on, or was killed: how many records it wrote cannot be told
`
	if diff := cmp.Diff(want, complete(runs)); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	for range maxRuns + 2 {
		runs = append(runs, chain.Run{ID: "e", First: 18, Last: 18, Begins: true})
	}
	if diff := cmp.Diff("3 more runs were killed\n", last(complete(runs), len("3 more runs were killed\n"))); diff != "" {
		t.Errorf("end of the text (-want +got):\n%s", diff)
	}
}

func last(s string, n int) string { return s[len(s)-n:] }
