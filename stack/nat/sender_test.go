//go:build linux

package nat

import (
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/stack/egress"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestSameSender: a port that another socket has taken begins a new flow, which is ruled on, and no
// other datagram does.
func TestSameSender(t *testing.T) {
	log := newTestLog(true)
	same, asked := true, 0
	o := Options{
		Local: func(netip.Addr) bool { return true },
		SameSender: func(d *tunflow.Datagram) bool {
			asked++
			return same
		},
	}
	ruled := 0
	rules := func(dial.Flow) *egress.Ruling {
		ruled++
		return &egress.Ruling{Decision: new(tunflow.Decision), Default: true}
	}
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback, Rules: rules}, log.options(o))
	log.nat = router.NAT
	router.recorder.Pause = 0
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	send := func(payload string) {
		router.route(tuntest.Frame{Data: datagram(client, server, []byte(payload))})
		wantNext(t, far, payload)
	}
	send("one")
	send("two")
	log.await(t, 1)
	same = false
	send("three")
	log.await(t, 2)
	if asked != 2 || ruled != 2 {
		t.Errorf("asked %d times, want once for each datagram but the first; %d rulings, want one "+
			"for each flow", asked, ruled)
	}
	all := log.ends(t)
	if f := all[0]; f == nil || f.OutboundPackets != 2 {
		t.Errorf("end of the first: %+v", f)
	}
	if all[1] != nil {
		t.Errorf("end of the second: %+v", all[1])
	}
}
