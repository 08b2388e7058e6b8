package flow

import "testing"

func TestHides(t *testing.T) {
	t.Parallel()
	up := Stall{SndMSS: 1448, AdvMSS: 1448, RcvMSS: 536, Acked: 300, Unacked: 10, Outstanding: 14480, Backoff: 2}
	down := Stall{SndMSS: 1448, AdvMSS: 1448, RcvMSS: 656, Acked: 300, Held: 2000, Received: 100}
	for name, tt := range map[string]struct {
		stall    Stall
		change   func(*Stall)
		up, down bool
	}{
		"up":                          {up, func(*Stall) {}, true, false},
		"too early":                   {up, func(s *Stall) { s.Backoff = 1 }, false, false},
		"full segments have passed":   {up, func(s *Stall) { s.Acked, s.SentFull = 14480, true }, false, false},
		"short segments have passed":  {up, func(s *Stall) { s.Acked = 14480 }, true, false},
		"a short segment is lost":     {up, func(s *Stall) { s.Outstanding, s.Unacked = 500, 1 }, false, false},
		"down":                        {down, func(*Stall) {}, false, true},
		"a full segment has come":     {down, func(s *Stall) { s.RcvMSS = 1448 }, false, false},
		"slow, within its answer":     {down, func(s *Stall) { s.Held = 0 }, false, false},
		"a head has come":             {down, func(s *Stall) { s.Held, s.Incomplete = 0, true }, false, true},
		"bytes are missing":           {down, func(s *Stall) { s.Held, s.Missing = 0, 1180 }, false, true},
		"nothing has come":            {down, func(s *Stall) { s.Held, s.Received, s.RcvMSS = 0, 0, 536 }, false, true},
		"the client has said nothing": {down, func(s *Stall) { s.Acked = 0 }, false, false},
		"the question is lost":        {down, func(s *Stall) { s.Unacked = 1 }, false, false},
	} {
		s := tt.stall
		tt.change(&s)
		if s.HidesUp() != tt.up || s.HidesDown() != tt.down {
			t.Errorf("%s: up %t, down %t, want %t, %t", name, s.HidesUp(), s.HidesDown(), tt.up, tt.down)
		}
	}
}
