package tap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestLimits fills the table. A SYN that it cannot hold is dropped and counted, and comes in when
// there is room again.
func TestLimits(t *testing.T) {
	t.Parallel()
	network := netip.MustParsePrefix("2001:db8:9::/64")
	w := newWorld(t, Options{TCPFlows: 16, TCPFlowsPerSource: 3, Local: func(a netip.Addr) bool { return network.Contains(a) }})
	from := func(client string) string {
		s := taptest.SYN()
		if s.Src = netip.MustParseAddrPort(client); s.Src.Addr().Is6() {
			s.Dst = taptest.SYN6().Dst
		}
		_, reason := w.send(tuntest.Frame{Data: s.Packet()})
		return reason
	}
	for _, step := range []struct{ client, want string }{
		{"192.0.2.1:1", ""},
		{"192.0.2.1:2", ""},
		{"192.0.2.1:3", ""},
		{"192.0.2.1:4", "tcp_flows_per_source"},
		{"192.0.2.1:3", ""}, // again
		{"[2001:db8:8::1]:1", ""},
		{"[2001:db8:8::1]:2", ""},
		{"[2001:db8:8::1]:3", ""},
		{"[2001:db8:8::1]:4", "tcp_flows_per_source"},
		{"[2001:db8:8::2]:1", ""},
		{"[2001:db8:8::3]:1", ""},
		{"[2001:db8:8::4]:1", ""},
		{"[2001:db8:8::5]:1", "tcp_flows_per_source"}, // of one network
		{"[2001:db8:9::1]:1", ""},
		{"[2001:db8:9::1]:2", ""},
		{"[2001:db8:9::1]:3", ""},
		{"[2001:db8:9::1]:4", ""},
		{"[2001:db8:9::1]:5", ""},
		{"192.0.2.2:1", ""},
		{"192.0.2.2:2", ""},
		{"192.0.2.2:3", "tcp_flows"},
	} {
		if got := from(step.client); got != step.want {
			t.Errorf("SYN from %s: reason %q, want %q", step.client, got, step.want)
		}
	}
	if n := w.tap.Stats().HalfOpen; n != 16 {
		t.Errorf("half open: %d, want 16", n)
	}
	w.tap.DialDone(flow.Dial{Key: flow.Key{Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: taptest.Server, ISN: 1000}, Answer: flow.NoReply})
	if got := from("192.0.2.1:4"); got != "" {
		t.Errorf("SYN when there is room again: reason %q, want none", got)
	}
	w.tap.Flush()
	w.wait(givesUp + time.Minute)
	if n := len(w.tap.live.sources.flows); n != 0 {
		t.Errorf("%d sources counted after all is over, want 0", n)
	}
}

// TestLocalLimit has programs of this host leave an eighth of the table to others.
func TestLocalLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TCPFlows: 16, Local: func(a netip.Addr) bool { return a == taptest.Client.Addr() }})
	got := map[string]int{}
	for i := range uint16(16) {
		s := taptest.SYN()
		s.Src = netip.AddrPortFrom(taptest.Client.Addr(), 1+i)
		_, reason := w.send(tuntest.Frame{Data: s.Packet()})
		got[reason]++
	}
	if diff := cmp.Diff(map[string]int{"": 14, "tcp_flows_per_source": 2}, got); diff != "" {
		t.Errorf("fates of SYNs (-want +got):\n%s", diff)
	}
}

// TestConnectionsCount has connections take places until the router has done with them.
func TestConnectionsCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{TCPFlows: 1, TCPFlowsPerSource: 1})
	w.mustPlay(taptest.Handshake + "> FA 1001 5001\n< FA 5001 1002\n> A 1002 5002\n> R 1002")
	other := taptest.SYN()
	other.Src = netip.MustParseAddrPort("192.0.2.7:1")
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("SYN beside a connection: reason %q, want tcp_flows", reason)
	}
	w.tap.Forget(key(999))
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("SYN when the router has forgotten another connection: reason %q, want tcp_flows", reason)
	}
	w.tap.Forget(key(1000))
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "" {
		t.Errorf("SYN after that: reason %q, want none", reason)
	}

	w = newWorld(t, Options{})
	w.mustPlay(taptest.Handshake + "> S 2000") // which the router ignores
	w.tap.Forget(key(1000))
	w.wait(time.Minute)
	w.wantRecords("established 1000/5000: S SA A")
	if n := w.tap.live.counted(); n != 0 {
		t.Errorf("%d places taken after all is over, want 0", n)
	}
}

// TestSetLimits changes timeouts and limits under handshakes that are open.
func TestSetLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{Timeout: 60 * time.Second, DialTimeout: 60 * time.Second, TCPFlows: 1})
	w.mustPlay("> S 1000")
	other := taptest.SYN()
	other.Src = netip.MustParseAddrPort("192.0.2.7:1")
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "tcp_flows" {
		t.Errorf("SYN beyond the limit: reason %q, want tcp_flows", reason)
	}
	w.tap.SetLimits(Options{Timeout: 5 * time.Second, DialTimeout: 10 * time.Second, TCPFlows: 2})
	if _, reason := w.send(tuntest.Frame{Data: other.Packet()}); reason != "" {
		t.Errorf("SYN within the new limit: reason %q, want none", reason)
	}
	w.mustPlay("< SA 5000 1001")
	w.wait(5 * time.Second) // the handshake that was answered after the change
	w.wantRecords("half_open 1000/5000: S SA")
}
