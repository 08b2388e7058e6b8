//go:build linux

package router

import (
	"errors"
	"testing"

	"syntap/cmd/internal/blackhole"
	"syntap/cmd/internal/pathmtu"
)

// A far end that sends no full segment is left to the connections. Where time or loss stood in the
// way another measurement may decide.
func TestPathOf(t *testing.T) {
	t.Parallel()
	fails := 1401
	clear, narrow := &pathmtu.Sizes{Passes: 1500}, &pathmtu.Sizes{Passes: 1400, Fails: &fails}
	hole := blackhole.Way{Hole: true, Passes: 1400, Fails: 1401}
	unknown := blackhole.Way{Undecided: true}
	for name, tt := range map[string]struct {
		result    pathmtu.Result
		path      blackhole.Path
		fails     bool
		undecided bool
	}{
		"clear":           {result: pathmtu.Result{Verdict: pathmtu.Clear, Up: clear, Down: clear}},
		"both":            {result: pathmtu.Result{Verdict: pathmtu.Both, Up: narrow, Down: narrow}, path: blackhole.Path{Up: hole, Down: hole}},
		"up, late":        {result: pathmtu.Result{Verdict: pathmtu.BlackHoleUp, Up: narrow, Late: true}, path: blackhole.Path{Up: hole, Down: unknown, Rough: true}},
		"up, and loss":    {result: pathmtu.Result{Verdict: pathmtu.BlackHoleUp, Up: narrow, Disagree: true}, path: blackhole.Path{Up: hole, Down: unknown, Rough: true}},
		"up, down clear":  {result: pathmtu.Result{Verdict: pathmtu.BlackHoleUp, Up: narrow, Down: clear}, path: blackhole.Path{Up: hole}},
		"no full segment": {result: pathmtu.Result{Verdict: pathmtu.Undecided, Up: clear}, fails: true, undecided: true},
		"too late":        {result: pathmtu.Result{Verdict: pathmtu.Undecided, Up: clear, Late: true}, fails: true},
		"disagreement":    {result: pathmtu.Result{Verdict: pathmtu.Undecided, Up: clear, Disagree: true}, fails: true},
		"nothing up":      {result: pathmtu.Result{Verdict: pathmtu.Undecided, Down: clear}, fails: true},
	} {
		path, err := pathOf(&tt.result)
		if err != nil != tt.fails || errors.Is(err, blackhole.ErrUndecided) != tt.undecided || err == nil && path != tt.path {
			t.Errorf("%s: %+v, %v, want %+v", name, path, err, tt.path)
		}
	}
}
