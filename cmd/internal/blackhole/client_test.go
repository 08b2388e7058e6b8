package blackhole

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// toClient is a connection whose packets of a size are lost on their way to its client.
func toClient(client string, size int) flow.Stall {
	near := netip.MustParseAddrPort(client)
	far := netip.MustParseAddrPort("203.0.113.2:443")
	if near.Addr().Is6() {
		far = netip.MustParseAddrPort("[2001:db8::2]:443")
	}
	return flow.Stall{
		Key: flow.Key{Client: near, Server: far}, ClientLeg: true, Remote: near,
		AdvMSS: 1448, SndMSS: uint32(size - 52), Packet: size, Acked: 300, Outstanding: 14480, Backoff: 3, Received: 80,
	}
}

// fromClient is one of whose client only short segments come, behind a hole.
func fromClient(client string) flow.Stall {
	s := toClient(client, 1500)
	s.SndMSS, s.Packet, s.Outstanding, s.Backoff, s.Held = 0, 0, 0, 0, 1280
	return s
}

// A hole on the way to a client is measured, freed, and has later connections of the client keep to
// the size, to whatever server.
func TestClientLeg(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.cures = true
		w.paths.find(narrow(1400), nil)
		s := toClient("192.0.2.7:1", 1500)
		w.stalls(s, 5)
		if len(w.found()) != 1 {
			t.Fatalf("findings %+v, want one", w.found())
		}
		f := w.found()[0]
		if f.Leg != record.ClientLeg || f.Dst != "192.0.2.7" || f.Direction != "up" || f.Passes != 1400 || f.Clamp != 1360 ||
			f.Confidence != record.High || !f.Applied || f.Name != "" || f.Stalls[0].Dst != "203.0.113.2" {
			t.Errorf("finding %+v", f)
		}
		freed, lowered, reset := w.cured()
		if lowered[s.Key] != 1400 || len(reset)+len(freed) != 0 {
			t.Errorf("lowered %v, freed %v, reset %v", lowered, freed, reset)
		}
		w.stalls(toClient("192.0.2.7:2", 1400), 8) // its packets are short enough
		if _, lowered, reset = w.cured(); len(lowered) != 1 || len(reset) != 0 {
			t.Errorf("a connection whose packets are short: lowered %v, reset %v", lowered, reset)
		}
		client, server := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("198.51.100.9")
		if got := w.MSS(client, server); got != 1360 {
			t.Errorf("MSS %d, want 1360", got)
		}
		if got := w.MSS(server, client); got != 0 {
			t.Errorf("MSS %d of a connection to the address of the client, want none", got)
		}
		time.Sleep(lifetime + time.Minute)
		if got := w.MSS(client, server); got != 0 || w.paths.count() != 1 {
			t.Errorf("MSS %d after %d measurements, want none: nothing is stuck that could be measured", got, w.paths.count())
		}
	})
}

// From a client one connection that goes on is enough, and at once where packets to it vanish too.
// A connection that is stuck is told of the size, and reset if that is no help.
func TestFromClient(t *testing.T) {
	t.Parallel()
	both := toClient("192.0.2.7:2", 1500)
	both.Held = 1280
	vanished := fromClient("192.0.2.7:2")
	vanished.Heard = sureSilence
	for name, tt := range map[string]struct {
		first, second flow.Stall
		err           error
		want          string
	}{
		"two agree":     {fromClient("192.0.2.7:1"), fromClient("192.0.2.7:2"), nil, "down 0 1240 medium"},
		"one goes on":   {fromClient("192.0.2.7:2"), fromClient("192.0.2.7:2"), nil, "down 0 1240 medium"},
		"two, IPv6":     {fromClient("[2001:db8::7]:1"), fromClient("[2001:db8::7]:2"), nil, "down 0 1220 medium"},
		"vanished":      {vanished, vanished, nil, ""},
		"both ways":     {both, both, nil, "both 1400 1360 high"},
		"no answer":     {toClient("192.0.2.7:1", 1500), toClient("192.0.2.7:2", 1500), ErrUndecided, ""},
		"another error": {toClient("192.0.2.7:1", 1500), toClient("192.0.2.7:2", 1500), errors.New("gone"), ""},
	} {
		inWorld(t, func(w *world) {
			w.cures = true
			w.paths.find(narrow(1400), tt.err)
			w.stalls(tt.first, 5)
			w.stalls(tt.second, 5)
			got := ""
			for _, f := range w.found() {
				got += fmt.Sprintf("%s %d %d %s", f.Direction, f.Passes, f.Clamp, f.Confidence)
			}
			if got != tt.want {
				t.Errorf("%s: findings %q, want %q", name, got, tt.want)
			}
			if _, lowered, _ := w.cured(); lowered[tt.second.Key] > 0 != (tt.want != "") {
				t.Errorf("%s: lowered %v", name, lowered)
			}
			w.stalls(tt.second, 7)
			if _, _, reset := w.cured(); reset[tt.second.Key] > 0 != (tt.want != "") {
				t.Errorf("%s: reset %v", name, reset)
			}
		})
	}
}

// Three hosts of a prefix with findings make one of the prefix, servers and clients apart.
func TestVicinity(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		for i, passes := range []int{1400, 1350, 1380} {
			w.paths.find(narrow(passes), nil)
			w.stalls(up(fmt.Sprintf("203.0.113.%d:443", i), 1), 4)
			w.stalls(toClient(fmt.Sprintf("203.0.113.%d:1", i), 1500), 4)
			if want := 2 * (i + 1); i < 2 && len(w.found()) != want {
				t.Fatalf("%d findings, want %d", len(w.found()), want)
			}
		}
		var prefixes []string
		for _, f := range w.Findings() {
			if f.Dst == "203.0.113.0/24" {
				prefixes = append(prefixes, fmt.Sprintf("%s %s %d %d %d %d %s", f.Leg, f.Direction, f.Passes, f.Fails, f.Clamp, f.Flows, f.Confidence))
			}
		}
		if fmt.Sprint(prefixes) != "[ up 1350 1351 1310 3 medium client up 1350 1351 1310 3 medium]" {
			t.Errorf("findings of the prefix %q", prefixes)
		}
		if len(w.found()) != 8 {
			t.Errorf("%d findings were told, want those of six hosts and two prefixes", len(w.found()))
		}
		time.Sleep(3 * lifetime)
		if left := w.Findings(); len(left) != 0 {
			t.Errorf("findings %+v of paths that carry nothing", left)
		}
	})
}
