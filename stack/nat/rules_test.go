//go:build linux

package nat

import (
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/dial"
	"syntap/stack/egress"
	dnsresolver "syntap/stack/resolver"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestForbiddenNames: a query for a name that policy forbids is on record, is answered here, and
// does not leave; nor does anything else than a query where only those may.
func TestForbiddenNames(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	o := log.options(Options{
		Blocked: dnsresolver.Blocked,
		Question: func(_, _ netip.AddrPort, q *tunflow.DNS) *tunflow.Decision {
			bad := q.Queries[0].Name != "good.example"
			return &tunflow.Decision{Deny: bad, Rule: "names", ByName: !bad}
		},
	})
	link, host := tuntest.NewPipe(1500)
	r := newRouter(t, link, dial.Options{
		Redirect: toResolver(far),
		Rules: func(dial.Flow) *egress.Ruling {
			return &egress.Ruling{Decision: &tunflow.Decision{Deny: true}, Default: true, Names: true}
		},
	}, o)
	r.host, log.nat = host, r.NAT
	r.run(t, func(f func() error) error { return f() })
	client := netip.AddrPortFrom(clientV4, 5353)
	r.sendTo(t, client, resolver, string(query(t, 1, "bad.example")))
	from, to, got := r.receiveUDP(t)
	var m dnsmessage.Message
	if err := m.Unpack(got[0]); err != nil || m.ID != 1 || m.RCode != dnsmessage.RCodeNameError {
		t.Errorf("%v: %s", err, m.GoString())
	}
	if from != resolver || to != client {
		t.Errorf("the answer went from %s to %s", from, to)
	}
	r.sendTo(t, client, resolver, "no query")
	r.receiveICMP(t)
	wantNothing(t, far)
	r.sendTo(t, client, resolver, string(query(t, 2, "good.example")))
	if id, _ := nextQuery(t, far); id != 2 {
		t.Errorf("query %d has left", id)
	}
	opened := log.await(t, 3)
	denied, other, allowed := opened[0], opened[1], opened[2]
	if !denied.Denied || denied.DNS.Queries[0].Name != "bad.example" || denied.Decision.Rule != "names" {
		t.Errorf("%+v", denied)
	}
	if !other.Denied || other.Decision != noQuery {
		t.Errorf("%+v", other)
	}
	if d := allowed.Decision; allowed.Denied || allowed.DNS.ID != 2 || d.Rule != "names" || d.ByName {
		t.Errorf("%+v, decision %+v", allowed, allowed.Decision)
	}
}

// TestRulesAreAskedOnce: a flow keeps the ruling by which it began, while it is in use; a denial
// holds for a moment, since the client may learn a name.
func TestRulesAreAskedOnce(t *testing.T) {
	asked, deny := 0, false
	r := newRouter(t, &sink{}, dial.Options{Rules: func(f dial.Flow) *egress.Ruling {
		asked++
		return &egress.Ruling{Decision: &tunflow.Decision{Deny: deny}}
	}}, Options{})
	flow := dial.Flow{
		Proto: tunflow.UDP, Client: netip.AddrPortFrom(clientV4, 1),
		Server: netip.MustParseAddrPort("203.0.113.1:443"),
	}
	other := flow
	other.Server = netip.MustParseAddrPort("203.0.113.2:443")
	now := r.table.Now()
	for i := range 5 {
		if r.rule(flow, now).Deny || r.rule(other, now).Deny {
			t.Fatalf("frame %d is denied", i)
		}
		deny = true
		now += r.table.Lifetime(false) / 2
	}
	if asked != 2 {
		t.Errorf("%d questions, want 2", asked)
	}
	now += r.table.Lifetime(false)
	if !r.rule(flow, now).Deny {
		t.Error("an idle flow keeps its ruling")
	}
	deny = false
	if !r.rule(flow, now+denialAge/2).Deny || r.rule(flow, now+denialAge).Deny {
		t.Error("a denial does not hold for denialAge, from when it was made")
	}
	for port := range uint16(maxRulings + 5) { // others fill both maps
		other.Client = netip.AddrPortFrom(clientV4, port+100)
		r.rule(other, now+denialAge)
	}
	if n := len(r.rulings.ruled) + len(r.rulings.older); n > 2*maxRulings {
		t.Errorf("%d rulings, want at most %d", n, 2*maxRulings)
	}
}

// TestRuledFarEnds: where the rules let no far end send first, those that a client has sent to may
// answer.
func TestRuledFarEnds(t *testing.T) {
	lab := tuntest.NewLab(t)
	allowed := netip.MustParseAddrPort(tuntest.ServerAddr4 + ":7000")
	router := routerIn(t, lab.Router, true, dial.Options{Rules: func(f dial.Flow) *egress.Ruling {
		deny := f.Uninvited || f.Server.Port() != allowed.Port()
		return &egress.Ruling{Decision: &tunflow.Decision{Deny: deny}}
	}})
	far := listenIn(lab.Server, tuntest.ServerAddr4, "7000")
	stranger := listenIn(lab.Server, tuntest.ServerAddr4, "7001")
	client := netip.MustParseAddrPort("198.18.0.1:5353")
	seen := router.host.Exchange(t, client, allowed, far)
	if _, err := stranger.WriteToUDPAddrPort([]byte("uninvited"), seen); err != nil {
		t.Fatal(err)
	}
	if _, err := far.WriteToUDPAddrPort([]byte("answer"), seen); err != nil {
		t.Fatal(err)
	}
	if from, _, got := router.receiveUDP(t); from != allowed || string(got[0]) != "answer" {
		t.Errorf("%q came from %s", got, from)
	}
	tuntest.Wait(t, "a datagram to be dropped", func() bool { return router.stats.DropUninvited.Load() == 1 })
	router.sendTo(t, client, netip.MustParseAddrPort(tuntest.ServerAddr4+":7001"), "denied")
	router.receiveICMP(t)
}
