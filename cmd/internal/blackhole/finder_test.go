package blackhole

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// A measurement makes one finding of a suspicion, with exact sizes; it is renewed as long as
// connections go there, and forgotten when the path is clear.
func TestMeasured(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.paths.find(narrow(1400), nil)
		w.stalls(up("203.0.113.2:443", 1), 8)
		w.stalls(up("203.0.113.2:443", 2), 8)
		if len(w.found()) != 1 || w.paths.count() != 1 {
			t.Fatalf("%d findings by %d measurements, want one by one", len(w.found()), w.paths.count())
		}
		f := w.found()[0]
		if f.Direction != "up" || f.Passes != 1400 || f.Fails != 1401 || f.Clamp != 1360 || f.Confidence != record.High || f.Applied {
			t.Errorf("finding %+v", f)
		}
		server := netip.MustParseAddr("203.0.113.2")
		for range 3 {
			if got := w.MSS(netip.Addr{}, server); got != 1360 {
				t.Errorf("MSS %d, want 1360", got)
			}
			time.Sleep(lifetime)
		}
		if w.paths.count() != 4 || len(w.found()) != 1 {
			t.Errorf("%d measurements, %d findings, want one more each lifetime, and no new finding", w.paths.count(), len(w.found()))
		}
		w.MSS(netip.Addr{}, server)
		w.paths.find(Path{}, nil)
		time.Sleep(lifetime + time.Minute)
		if got := w.MSS(netip.Addr{}, server); got != 0 || len(w.Findings()) != 0 {
			t.Errorf("MSS %d on a clear path", got)
		}
		if freed, _, reset := w.cured(); len(freed)+len(reset) != 0 {
			t.Errorf("connections cured that no rule cures: %v, %v", freed, reset)
		}
	})
}

// A finding that no connection uses any more is forgotten without another measurement.
func TestUnused(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.paths.find(narrow(1400), nil)
		w.stalls(up("203.0.113.2:443", 1), 5)
		time.Sleep(3 * lifetime)
		if len(w.Findings()) != 0 || w.paths.count() != 2 {
			t.Errorf("findings %v after %d measurements", w.Findings(), w.paths.count())
		}
	})
}

// Where a measurement finds nothing, or fails, there is no finding, and the next has to wait.
func TestNothingFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err         error
		least, most int
	}{{nil, 2, 2}, {errors.New("connection refused"), 8, 11}} {
		inWorld(t, func(w *world) {
			w.paths.find(Path{}, tt.err)
			for i := range 100 {
				w.stalls(up("203.0.113.2:443", i), 15)
			}
			if len(w.found()) != 0 || w.paths.count() < tt.least || w.paths.count() > tt.most {
				t.Errorf("%v: %d findings by %d measurements in 25 minutes", tt.err, len(w.found()), w.paths.count())
			}
		})
	}
}

// Where a measurement decides nothing, connections tell.
func TestUndecided(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.paths.find(Path{}, fmt.Errorf("measured: %w", ErrUndecided))
		w.opens = true
		w.stalls(down("203.0.113.2:443", 1), 3)
		if len(w.found()) != 0 {
			t.Errorf("findings %+v by one connection", w.found())
		}
		w.stalls(down("203.0.113.2:443", 2), 5)
		if len(w.found()) != 1 || w.found()[0].Confidence != record.Medium || w.paths.count() != 1 {
			t.Errorf("findings %+v after %d measurements", w.found(), w.paths.count())
		}
	})
}

// On a port of an unknown protocol two connections have to agree, and the far end has to be there;
// or one has to go on after another has opened.
func TestAgreement(t *testing.T) {
	t.Parallel()
	slow := with(stallTo("203.0.113.2:5432", 2), func(s *flow.Stall) { s.Acked = 300 }) // it has not answered so far
	forgotten := func(client int) flow.Stall {
		return with(up("203.0.113.2:5432", client), func(s *flow.Stall) { s.Heard = time.Hour })
	}
	old := func(client int) flow.Stall { // a firewall on the path was started anew
		return with(up("203.0.113.2:5432", client), func(s *flow.Stall) { s.Age = time.Minute })
	}
	vanished := func(client int) flow.Stall { // and another host has its address
		return with(down("203.0.113.2:5432", client), func(s *flow.Stall) { s.Heard = sureSilence })
	}
	unheard := func(client int) flow.Stall {
		return with(up("203.0.113.2:5432", client), func(s *flow.Stall) { s.Acked = 0 })
	}
	early := with(up("203.0.113.2:5432", 2), func(s *flow.Stall) { s.Backoff = 2 })
	for name, tt := range map[string]struct {
		first, second flow.Stall
		opens         bool
		want          string
	}{
		"up":                    {up("203.0.113.2:5432", 1), up("203.0.113.2:5432", 2), true, "up 0 1240 medium"},
		"down":                  {down("203.0.113.2:5432", 1), down("203.0.113.2:5432", 2), true, "down 0 1240 medium"},
		"down, IPv6":            {down("[2001:db8::2]:22222", 1), down("[2001:db8::2]:22222", 2), true, "down 0 1220 medium"},
		"dead":                  {up("203.0.113.2:5432", 1), up("203.0.113.2:5432", 2), false, ""},
		"dead, down":            {down("203.0.113.2:5432", 1), down("203.0.113.2:5432", 2), false, ""},
		"nothing is heard":      {unheard(1), unheard(2), true, ""},
		"forgotten on the path": {forgotten(1), forgotten(2), true, ""},
		"old ones":              {old(1), old(2), true, ""},
		"an old and a new one":  {old(1), up("203.0.113.2:5432", 2), true, ""},
		"the same one":          {up("203.0.113.2:5432", 1), up("203.0.113.2:5432", 1), true, ""},
		"vanished, down":        {vanished(1), vanished(2), true, ""},
		"one goes on":           {down("203.0.113.2:5432", 1), early, true, "down 0 1240 medium"},
		"different hosts":       {up("203.0.113.2:5432", 1), up("203.0.113.3:5432", 2), true, ""},
		"slow":                  {slow, slow, true, ""},
		"not yet":               {up("203.0.113.2:5432", 1), early, true, ""},
		"this host, no network": {up("127.0.0.1:5432", 1), up("127.0.0.1:5432", 2), true, ""},
	} {
		inWorld(t, func(w *world) {
			w.opens = tt.opens
			w.stalls(tt.first, 5)
			w.stalls(tt.second, 5)
			got := ""
			for _, f := range w.found() {
				got += fmt.Sprintf("%s %d %d %s", f.Direction, f.Passes, f.Clamp, f.Confidence)
			}
			if got != tt.want || w.paths.count() != 0 {
				t.Errorf("%s: findings %q, %d measurements, want %q and none", name, got, w.paths.count(), tt.want)
			}
		})
	}
}

// A path over IPv4 may be narrower than a finding without sizes assumes. Connections that keep to
// that show it as the first ones have shown the hole, and are cured, too.
func TestNarrowerThanLikely(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stall func(server string, client int) flow.Stall
		host  string
		clamp int
		freed bool
		reset bool
	}{
		"up":         {stall: up, host: "203.0.113.2:5432", clamp: 536, freed: true},
		"down":       {stall: down, host: "203.0.113.2:5432", clamp: 536, reset: true},
		"down, IPv6": {stall: down, host: "[2001:db8::2]:5432", clamp: 1220},
	} {
		inWorld(t, func(w *world) {
			w.opens, w.cures = true, true
			clamped := func(mss uint32) flow.Stall {
				return with(tt.stall(tt.host, int(mss)), func(s *flow.Stall) { s.Clamped, s.AdvMSS, s.SndMSS = true, mss, mss })
			}
			w.stalls(tt.stall(tt.host, 1), 5)
			w.stalls(tt.stall(tt.host, 2), 5)
			w.stalls(clamped(1208), 5)
			w.stalls(clamped(1209), 10)
			w.stalls(clamped(524), 10) // short packets vanish, too: it is something else
			w.stalls(clamped(525), 10)
			all := w.found()
			if got := all[len(all)-1]; got.Clamp != tt.clamp || got.Passes != 0 || len(w.told) > 2 {
				t.Errorf("%s: %d findings, the last %+v, want the clamp %d", name, len(w.told), got, tt.clamp)
			}
			freed, reset := w.freed[clamped(1209).Key] > 0, w.reset[clamped(1209).Key] > 0
			if freed != tt.freed || !freed && reset != tt.reset {
				t.Errorf("%s: freed %t, reset %t, want %t, %t", name, freed, reset, tt.freed, tt.reset)
			}
			if w.freed[clamped(525).Key]+w.reset[clamped(525).Key] > 0 {
				t.Errorf("%s: a connection of short packets was cured", name)
			}
		})
	}
}

// A server whose ACKs tell that it has sent more than has come is in a black hole: one connection
// is enough, as long as the server is heard, and on a port where a measurement may be made it is
// made.
func TestMissing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		port   int
		change func(*flow.Stall)
		opens  bool
		want   string
	}{
		"part has come":    {5432, func(s *flow.Stall) { s.Received = 400 }, true, "down 0 1240 medium"},
		"nothing has come": {6379, func(*flow.Stall) {}, true, "down 0 1240 medium"},
		"measured":         {443, func(s *flow.Stall) { s.Received = 400 }, true, "down 1400 1360 high"},
		"gone":             {5432, func(*flow.Stall) {}, false, ""},
		"not heard":        {5432, func(s *flow.Stall) { s.Heard = sureSilence }, true, ""},
		"slow":             {5432, func(s *flow.Stall) { s.Missing = 0 }, true, ""},
		"short packets":    {5432, func(s *flow.Stall) { s.RcvMSS = s.AdvMSS }, true, ""},
	} {
		inWorld(t, func(w *world) {
			w.cures, w.opens = true, tt.opens
			w.paths.find(Path{Down: Way{Hole: true, Passes: 1400, Fails: 1401}}, nil)
			s := stallTo(fmt.Sprint("203.0.113.2:", tt.port), 1)
			s.Acked, s.Missing, s.Heard = 300, 1180, time.Second
			tt.change(&s)
			w.stalls(s, 8)
			got := ""
			for _, f := range w.found() {
				got += fmt.Sprintf("%s %d %d %s", f.Direction, f.Passes, f.Clamp, f.Confidence)
			}
			_, _, reset := w.cured()
			if got != tt.want || reset[s.Key] > 0 != (tt.want != "") {
				t.Errorf("%s: findings %q, want %q; reset %v", name, got, tt.want, reset)
			}
		})
	}
}

// A measurement that takes long has stuck connections cured, and later ones clamped, once it knows
// that packets vanish. If it fails then another is made, which finds the sizes.
func TestEarly(t *testing.T) {
	t.Parallel()
	both := Path{Up: Way{Hole: true, Passes: 1280, Fails: 1500}, Down: Way{Hole: true, Passes: 1300, Fails: 1500}}
	for name, tt := range map[string]struct {
		so     Path
		held   uint64
		err    error
		passes [2]bool
		cured  bool
	}{
		"it ends late":    {so: both, cured: true},
		"it fails":        {so: both, err: errors.New("no decision in 9.5s"), cured: true},
		"other way":       {so: Path{Up: both.Up}},
		"nothing yet":     {},
		"by itself":       {held: 1280, cured: true},
		"one of paths":    {so: both, passes: [2]bool{true, true}},
		"by itself, ECMP": {held: 1280, passes: [2]bool{true, true}},
	} {
		inWorld(t, func(w *world) {
			w.cures = true
			w.paths.early, w.paths.takes = tt.so, 9*time.Second
			w.paths.find(both, tt.err)
			w.passes = tt.passes
			s := down("203.0.113.2:443", 1)
			s.Held = tt.held
			w.stalls(s, 4)
			if _, _, reset := w.cured(); len(reset) != 0 {
				t.Errorf("%s: reset %v after 4 s", name, reset)
			}
			w.stalls(with(s, func(s *flow.Stall) { s.Silent = 4 * time.Second }), 4)
			if _, _, reset := w.cured(); reset[s.Key] > 0 != tt.cured || len(w.found()) != 0 {
				t.Errorf("%s: reset %v, findings %+v after 8 s", name, reset, w.found())
			}
			server := netip.MustParseAddr("203.0.113.2")
			if got, want := w.MSS(netip.Addr{}, server) > 0, tt.cured || tt.so.hole() && !tt.passes[0]; got != want {
				t.Errorf("%s: a clamp %t, want %t", name, got, want)
			}
			if tt.passes[0] {
				return
			}
			time.Sleep(3 * time.Second)
			w.paths.find(narrow(1400), nil)
			time.Sleep(20 * time.Second)
			if all := w.found(); len(all) != 1 || tt.err != nil && all[0].Passes != 1400 || tt.err == nil && all[0].Passes != 1280 {
				t.Errorf("%s: findings %+v", name, all)
			}
		})
	}
}

// A measurement that had too little time is made once more, with patience, while connections keep
// to what it has found. If that has too little time as well it counts, and a finding is not changed
// by such.
func TestRough(t *testing.T) {
	t.Parallel()
	for _, second := range []Path{narrow(1400), {Up: Way{Hole: true, Passes: 1400, Fails: 1410}, Rough: true}} {
		inWorld(t, func(w *world) {
			server := netip.MustParseAddr("203.0.113.2")
			w.paths.find(Path{Up: Way{Hole: true, Passes: 1334, Fails: 1500}, Rough: true}, nil)
			w.stalls(up("203.0.113.2:443", 1), 4)
			if got := w.MSS(netip.Addr{}, server); got != 1294 || len(w.found()) != 0 || w.paths.isPatient() {
				t.Errorf("MSS %d, findings %+v by a rough measurement", got, w.found())
			}
			w.paths.find(second, nil)
			time.Sleep(15 * time.Second)
			if got := w.MSS(netip.Addr{}, server); got != 1360 || len(w.found()) != 1 || w.paths.count() != 2 || !w.paths.isPatient() {
				t.Errorf("MSS %d, findings %+v after %d measurements", got, w.found(), w.paths.count())
			}
			w.paths.find(Path{Up: Way{Hole: true, Passes: 1300, Fails: 1500}, Rough: true}, nil)
			time.Sleep(lifetime)
			if got := w.MSS(netip.Addr{}, server); got != 1360 || len(w.found()) != 1 || w.paths.count() != 3 {
				t.Errorf("MSS %d, findings %+v after %d measurements", got, w.found(), w.paths.count())
			}
		})
	}
}

// A way that a measurement has found narrow, and then could not decide, as under loss, stays narrow
// unless the next one finds it clear.
func TestUndecidedWay(t *testing.T) {
	t.Parallel()
	hole := Way{Hole: true, Passes: 1400, Fails: 1401}
	for _, tt := range []struct {
		name      string
		second    Path
		direction string
	}{
		{"undecided again", Path{Up: hole, Down: Way{Undecided: true}, Rough: true}, "both"},
		{"clear", Path{Up: hole}, "up"},
	} {
		inWorld(t, func(w *world) {
			w.paths.early = Path{Down: Way{Hole: true, Passes: 1280, Fails: 1500}}
			w.paths.find(Path{Up: hole, Down: Way{Undecided: true}, Rough: true}, nil)
			w.stalls(up("203.0.113.2:443", 1), 4)
			w.paths.early = Path{}
			w.paths.find(tt.second, nil)
			time.Sleep(15 * time.Second)
			if all := w.found(); len(all) != 1 || all[0].Direction != tt.direction {
				t.Errorf("%s: findings %+v, want one of direction %s", tt.name, all, tt.direction)
			}
		})
	}
}

// with returns a stall that is changed.
func with(s flow.Stall, change func(*flow.Stall)) flow.Stall {
	change(&s)
	return s
}

// One upload whose segments are sent again after another connection has opened, in vain, is enough.
func TestOutlasts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		backoffs string // of each look
		found    int
	}{
		{"1234", 0}, // the last was sent just now
		{"12345", 1},
		{"12334", 0},
		{"123345", 1},
		{"12344", 1},
		{"123455", 1},
		{"1223355", 1},
		{"1233333", 0},
	} {
		inWorld(t, func(w *world) {
			w.opens = true
			s := up("203.0.113.2:5432", 1)
			for _, backoff := range tt.backoffs {
				s.Silent += time.Second
				s.Backoff = uint32(backoff - '0')
				w.Stalled(s)
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if len(w.found()) != tt.found {
				t.Errorf("backoffs %s: findings %+v, want %d", tt.backoffs, w.found(), tt.found)
			}
		})
	}
}

// A path becomes narrow beneath connections whose full segments have passed before: a measurement
// finds it where one may be made, and with a finding stuck connections are cured. Segments that are
// lost in the other direction have another reason.
func TestChanged(t *testing.T) {
	t.Parallel()
	late := func(s flow.Stall) flow.Stall {
		s.SentFull, s.RcvMSS = true, s.AdvMSS
		return s
	}
	unmeasured := func(s flow.Stall, client uint16) flow.Stall {
		s.Remote = netip.AddrPortFrom(s.Remote.Addr(), 5432)
		s.Key = flow.Key{Client: netip.AddrPortFrom(s.Key.Client.Addr(), client), Server: s.Remote}
		return s
	}
	for name, tt := range map[string]struct {
		first, next flow.Stall
		freed       int // connections
		reset       int
	}{
		"up":            {late(up("203.0.113.2:443", 1)), late(up("203.0.113.2:443", 2)), 2, 0},
		"up, elsewhere": {late(up("203.0.113.2:443", 1)), unmeasured(late(up("203.0.113.2:443", 1)), 2), 2, 0},
		"up, IPv6":      {late(up("[2001:db8::2]:443", 1)), late(up("[2001:db8::2]:443", 2)), 0, 2},
		"down":          {late(up("203.0.113.2:443", 1)), late(down("203.0.113.2:443", 2)), 1, 0},
		"not measured":  {unmeasured(late(up("203.0.113.2:443", 1)), 1), unmeasured(late(up("203.0.113.2:443", 1)), 2), 0, 0},
	} {
		inWorld(t, func(w *world) {
			w.cures, w.opens = true, true
			w.paths.find(narrow(1400), nil)
			w.stalls(tt.first, 6)
			w.stalls(tt.next, 3)
			freed, _, reset := w.cured()
			found := min(1, tt.freed+tt.reset)
			if len(freed) != tt.freed || len(reset) != tt.reset || len(w.found()) != found || w.paths.count() != found {
				t.Errorf("%s: freed %v, reset %v, findings %+v", name, freed, reset, w.found())
			}
		})
	}
}

// With a rule that applies findings a stuck upload over IPv4 is freed, and reset if that is no
// help; others are reset. Connections with a clamp are left alone.
func TestCure(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.cures = true
		w.paths.find(narrow(1400), nil)
		clamped := up("203.0.113.2:443", 3)
		clamped.Clamped = true
		w.stalls(up("203.0.113.2:443", 1), 4)
		w.stalls(clamped, 10)
		w.stalls(up("[2001:db8::2]:443", 2), 5)
		w.stalls(down("203.0.113.2:443", 4), 1)
		key := func(s flow.Stall) flow.Key { return s.Key }
		freed, _, reset := w.cured()
		if got := freed[key(up("203.0.113.2:443", 1))]; got != 1 || len(freed) != 1 {
			t.Errorf("freed %v", freed)
		}
		if reset[key(up("[2001:db8::2]:443", 2))] == 0 || reset[key(down("203.0.113.2:443", 4))] == 0 || len(reset) != 2 {
			t.Errorf("reset %v", reset)
		}
		for acked := range uint64(6) { // it goes on, and stalls by loss
			s := up("203.0.113.2:443", 1)
			s.Acked += acked
			w.stalls(s, 1)
		}
		if _, _, reset = w.cured(); reset[key(up("203.0.113.2:443", 1))] != 0 {
			t.Error("an upload that goes on is reset")
		}
		passes := up("203.0.113.2:443", 1)
		passes.Acked += 1448
		w.stalls(passes, 6)
		if _, _, reset = w.cured(); reset[key(up("203.0.113.2:443", 1))] != 0 {
			t.Error("an upload whose full segments pass is reset")
		}
		w.stalls(up("203.0.113.2:443", 1), 6)
		if _, _, reset = w.cured(); reset[key(up("203.0.113.2:443", 1))] == 0 {
			t.Error("an upload that stays stuck is not reset")
		}
		if len(w.found()) != 2 || !w.found()[0].Applied {
			t.Errorf("findings %+v", w.found())
		}
	})
}

// An upload on a port that is not measured, of which nothing is acknowledged, has its DF cleared
// once another connection has opened. Two that go on then are a finding. Over IPv6, and where no
// finding is applied, nothing is tried.
func TestTrial(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		server    string
		cures     bool
		opens     bool
		acked     uint64 // after the trial
		agree     int    // uploads
		freed     int
		confident string
	}{
		{"203.0.113.2:6379", true, true, 1448, 2, 2, "[up medium]"},
		{"203.0.113.2:6379", true, true, 1448, 1, 1, "[]"},
		{"203.0.113.2:6379", true, true, 100, 2, 2, "[]"},
		{"203.0.113.2:6379", true, false, 1448, 2, 0, "[]"}, // the path fails, and works again
		{"203.0.113.2:6379", false, true, 1448, 2, 0, "[]"},
		{"[2001:db8::2]:6379", true, true, 1448, 2, 0, "[]"},
	} {
		inWorld(t, func(w *world) {
			w.cures, w.opens = tt.cures, tt.opens
			for client := range tt.agree {
				s := up(tt.server, client)
				s.Acked = 0
				w.acked.Store(0)
				for s.Backoff = 1; s.Backoff <= 5; s.Backoff++ {
					w.stalls(s, 1)
					s.Silent += time.Second
				}
				w.acked.Store(tt.acked)
				time.Sleep(10 * time.Second)
			}
			found := []string{}
			for _, f := range w.found() {
				found = append(found, f.Direction+" "+string(f.Confidence))
			}
			if freed, _, reset := w.cured(); len(freed) != tt.freed || len(reset) != 0 || fmt.Sprint(found) != tt.confident {
				t.Errorf("%+v: freed %v, reset %v, findings %v", tt, freed, reset, found)
			}
		})
	}
}

// The clamp is never below the least that each host takes, and three hosts stand for their prefix.
func TestClamp(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		for i, passes := range []int{300, 1400, 1350, 1300} {
			w.paths.find(narrow(passes), nil)
			w.stalls(up(fmt.Sprintf("203.0.113.%d:443", i), 1), 4)
			w.stalls(up(fmt.Sprintf("[2001:db8::%d]:443", i), 1), 4)
		}
		for server, want := range map[string]packet.MSS{
			"203.0.113.0": 536, "203.0.113.2": 1310, "2001:db8::": 1220, "2001:db8::1": 1340,
			"203.0.113.99": 536, "2001:db8::99": 1220, "203.0.114.1": 0,
		} {
			if got := w.MSS(netip.Addr{}, netip.MustParseAddr(server)); got != want {
				t.Errorf("MSS of %s is %d, want %d", server, got, want)
			}
		}
	})
}

// A flood of suspicions is bounded, and drops no finding.
func TestBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.paths.find(narrow(1400), nil)
		w.stalls(up("203.0.113.2:443", 1), 4)
		w.paths.find(narrow(1400), errors.New("no answer"))
		for i := range 3 * mostHosts {
			w.Stalled(up(fmt.Sprintf("10.0.%d.%d:443", i/256, i%256), 1))
		}
		w.Finder.mu.Lock()
		n := len(w.hosts)
		w.Finder.mu.Unlock()
		if n > mostHosts || w.MSS(netip.Addr{}, netip.MustParseAddr("203.0.113.2")) != 1360 {
			t.Errorf("%d hosts, findings %v", n, w.Findings())
		}
	})
}

// Of several paths to a host one is bad: connections disagree, and there is no finding, but of the
// direction in which they agree.
func TestDisagree(t *testing.T) {
	t.Parallel()
	both := Path{Up: Way{Hole: true, Passes: 1400, Fails: 1401}, Down: Way{Hole: true, Passes: 1400, Fails: 1401}}
	for _, tt := range []struct {
		port     int
		passes   [2]bool
		disagree int
		found    string
	}{
		{443, [2]bool{true, true}, 1, "[]"},
		{443, [2]bool{true, false}, 1, "[down]"},
		{443, [2]bool{}, 0, "[both]"},
		{5432, [2]bool{true, false}, 1, "[]"},
		{5432, [2]bool{false, true}, 0, "[up]"},
	} {
		inWorld(t, func(w *world) {
			w.paths.find(both, nil)
			w.opens, w.passes = true, tt.passes
			for client := range 2 {
				w.stalls(up(fmt.Sprintf("203.0.113.2:%d", tt.port), client), 5)
			}
			found := []string{}
			for _, f := range w.found() {
				found = append(found, f.Direction)
			}
			if fmt.Sprint(found) != tt.found || w.disagreements() != tt.disagree {
				t.Errorf("port %d, full segments pass %v: findings %v, %d disagreements", tt.port, tt.passes, found, w.disagreements())
			}
		})
	}
}
