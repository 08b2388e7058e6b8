package blackhole

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"syntap/tun/flow"
)

// A router that ends while a connection hangs makes a finding of a hole that is certain by then.
// Where that is not known yet it names the far end, and nothing where the path was measured, or
// where the connection had nothing to wait for of late.
func TestEnd(t *testing.T) {
	t.Parallel()
	both := Path{Up: Way{Hole: true, Passes: 1280, Fails: 1500}, Down: Way{Hole: true, Passes: 1300, Fails: 1500}}
	slow := with(stallTo("203.0.113.2:443", 1), func(s *flow.Stall) { s.Acked = 300 })
	elsewhere := with(stallTo("203.0.113.2:5432", 1), func(s *flow.Stall) { s.Acked = 300 })
	for name, tt := range map[string]struct {
		stall   flow.Stall
		so      Path
		takes   time.Duration
		seconds int
		later   time.Duration
		found   string
		unsure  string
	}{
		"certain by then":         {stall: slow, so: both, takes: 9 * time.Second, seconds: 4, found: "both 1280 1240 medium"},
		"not yet":                 {stall: slow, takes: 9 * time.Second, seconds: 4, unsure: "[203.0.113.2:443]"},
		"at the first look":       {stall: slow, takes: 9 * time.Second, seconds: 1, unsure: "[203.0.113.2:443]"},
		"measured":                {stall: slow, takes: time.Second, seconds: 4},
		"long ago":                {stall: slow, takes: time.Minute, seconds: 4, later: stuckFor},
		"not measured, slow":      {stall: elsewhere, seconds: 4},
		"not measured, held":      {stall: down("203.0.113.2:5432", 1), seconds: 3, unsure: "[203.0.113.2:5432]"},
		"not measured, backs off": {stall: up("203.0.113.2:5432", 1), seconds: 1, unsure: "[203.0.113.2:5432]"},
	} {
		inWorld(t, func(w *world) {
			w.opens, w.paths.early, w.paths.takes = true, tt.so, tt.takes
			w.stalls(tt.stall, tt.seconds)
			time.Sleep(tt.later)
			w.Close()
			synctest.Wait()
			got := ""
			for _, f := range w.found() {
				got += fmt.Sprintf("%s %d %d %s", f.Direction, f.Passes, f.Clamp, f.Confidence)
			}
			unsure := ""
			if len(w.unsure) > 0 {
				unsure = fmt.Sprint(w.unsure)
			}
			if got != tt.found || unsure != tt.unsure {
				t.Errorf("%s: findings %q, unsure %q; want %q, %q", name, got, unsure, tt.found, tt.unsure)
			}
			w.unsure = nil
		})
	}
}
