//go:build linux

package nat

import (
	"net/netip"
	"testing"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// TestBeforeAnswer: the first datagram of a flow that policy forbids is answered when BeforeAnswer
// lets it be, and the next ones at once.
func TestBeforeAnswer(t *testing.T) {
	log := newTestLog(false)
	held := make(chan func(), 1)
	policy := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	router := startRecorded(t, log, Options{
		BeforeAnswer: func(_ *tunflow.Datagram, answer func()) { held <- answer },
	}, policy)
	client := netip.AddrPortFrom(clientV4, 5353)
	server := netip.MustParseAddrPort("203.0.113.1:80")
	router.sendTo(t, client, server, "first")
	answer := <-held
	router.wantNoAnswer(t)
	router.sendTo(t, client, server, "second")
	if m := router.receiveICMP(t); m.Code != packet.ICMPProhibited {
		t.Errorf("ICMP code %d", m.Code)
	}
	answer()
	if m := router.receiveICMP(t); m.Code != packet.ICMPProhibited {
		t.Errorf("ICMP code %d", m.Code)
	}
	router.stop()
}
