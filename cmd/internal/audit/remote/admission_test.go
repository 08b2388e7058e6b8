//go:build linux

package remote

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tun/flow"
)

// Connections wait while records cannot be written, are refused after a while, and are counted when
// records can be written again.
func TestAdmission(t *testing.T) {
	t.Parallel()
	var a admission
	var said []record.Gap
	after := func(d time.Duration, stuck, concerned bool, want flow.Admission) {
		t.Helper()
		got := a.decide(recordtest.Start.Add(d), stuck, concerned, func(g *record.Gap) { said = append(said, *g) })
		if got != want {
			t.Errorf("admission %v after %v, want %v", got, d, want)
		}
	}
	after(0, false, false, flow.Admit)
	after(time.Second, true, true, flow.Wait)
	after(2*time.Second, true, false, flow.Admit)
	after(time.Second+refuseAfter-1, true, true, flow.Wait)
	after(time.Second+refuseAfter, true, true, flow.Refuse)
	if said != nil {
		t.Errorf("a gap before its end: %+v", said)
	}
	after(time.Minute, false, false, flow.Admit)
	after(2*time.Minute, false, false, flow.Admit)
	after(3*time.Minute, true, true, flow.Wait)
	want := []record.Gap{{
		Reason: record.Suspended, From: recordtest.Start.Add(time.Second),
		To: recordtest.Start.Add(time.Second + refuseAfter), Refused: 3,
	}}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if n := a.refused.Load(); n != 4 {
		t.Errorf("%d kept out, want 4", n)
	}
}
