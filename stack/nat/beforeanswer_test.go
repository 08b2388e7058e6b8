//go:build linux

package nat

import (
	"net/netip"
	"testing"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// TestBeforeAnswer: datagrams of a flow that policy forbids are answered when BeforeAnswer lets the
// first one be.
func TestBeforeAnswer(t *testing.T) {
	log := newTestLog(false)
	held, opened := make(chan func(), 2), make(chan *tunflow.Datagram, 2)
	policy := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	router := startRecorded(t, log, Options{
		BeforeAnswer: func(d *tunflow.Datagram, answer func()) { opened <- d; held <- answer },
	}, policy)
	client := netip.AddrPortFrom(clientV4, 5353)
	server := netip.MustParseAddrPort("203.0.113.1:80")
	router.sendTo(t, client, server, "first")
	router.sendTo(t, client, server, "second")
	first, second := <-held, <-held
	if d := <-opened; d != <-opened {
		t.Error("the second waits for another flow")
	}
	router.wantNoAnswer(t)
	for _, answer := range []func(){first, second} {
		answer()
		if m := router.receiveICMP(t); m.Code != packet.ICMPProhibited {
			t.Errorf("ICMP code %d", m.Code)
		}
	}
	router.stop()
}
