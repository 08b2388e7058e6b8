//go:build linux

package nat

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/inspect"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

var resolver = netip.AddrPortFrom(serverV4, inspect.PortDNS)

// query returns a DNS query for the address of a name.
func query(t testing.TB, id uint16, name string) []byte {
	t.Helper()
	return message(t, dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: question(name),
	})
}

// response returns the answer to query: an address, or a response code.
func response(t testing.TB, id uint16, name string, code dnsmessage.RCode) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: true, RCode: code},
		Questions: question(name),
	}
	if code == dnsmessage.RCodeSuccess {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{
				Name: m.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
				TTL: 60,
			},
			Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 80}},
		}}
	}
	return message(t, m)
}

func question(name string) []dnsmessage.Question {
	return []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA,
		Class: dnsmessage.ClassINET,
	}}
}

func message(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// toResolver has clients reach far at resolver.
func toResolver(far *net.UDPConn) func(netip.AddrPort) (netip.AddrPort, bool) {
	to := far.LocalAddr().(*net.UDPAddr).AddrPort()
	return func(dst netip.AddrPort) (netip.AddrPort, bool) { return to, dst == resolver }
}

// startResolver runs a router with a log, whose clients reach far at resolver.
func startResolver(t *testing.T, l *testLog, far *net.UDPConn, o Options) *testRouter {
	t.Helper()
	link, host := tuntest.NewPipe(1500)
	r := newRouter(t, link, dial.Options{Redirect: toResolver(far)}, l.options(o))
	r.host, l.nat = host, r.NAT
	r.run(t, func(f func() error) error { return f() })
	return r
}

// nextQuery returns the identifier of the next query that a far end gets, and its sender.
func nextQuery(t *testing.T, far *net.UDPConn) (id uint16, peer netip.AddrPort) {
	t.Helper()
	b := make([]byte, 1<<12)
	n, peer, err := far.ReadFromUDPAddrPort(b)
	if err != nil || n < 12 {
		t.Fatalf("far end got %d bytes, %v", n, err)
	}
	return binary.BigEndian.Uint16(b), peer
}

// TestQueriesAreFlows: each DNS query is on record before it leaves, and ends with its response,
// which others learn before the client.
func TestQueriesAreFlows(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := startResolver(t, log, far, Options{})
	client := netip.AddrPortFrom(clientV4, 5353)
	names := []string{"a.example", "b.example"}
	for i, name := range names {
		router.sendTo(t, client, resolver, string(query(t, uint16(i), name)))
		router.sendTo(t, client, resolver, string(query(t, uint16(i), name))) // sent again
	}
	opened := log.await(t, 2)
	tuntest.Wait(t, "all read", func() bool { return router.routed.Load() == 4 })
	wantNothing(t, far)
	for i, d := range opened {
		want := &tunflow.DNS{ID: uint16(i), Queries: []tunflow.Question{{Name: names[i], Type: 1}}}
		if diff := cmp.Diff(want, d.DNS); diff != "" {
			t.Errorf("query (-want +got):\n%s", diff)
		}
	}
	router.Recorded(opened[1])
	router.Recorded(opened[0])
	var peer netip.AddrPort
	for range 4 {
		_, peer = nextQuery(t, far)
	}
	codes := []dnsmessage.RCode{dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError}
	for i, name := range names {
		_, _ = far.WriteToUDPAddrPort(response(t, uint16(i), name, codes[i]), peer)
		router.receiveUDP(t)
		if n := log.learned(); n != i+1 {
			t.Errorf("%d responses learned when the client has %d", n, i+1)
		}
		tuntest.Wait(t, "the end of the query", func() bool { return log.ends(t)[i] != nil })
	}
	ends := log.ends(t)
	for i, f := range ends {
		if f.Outcome != tunflow.Answered || f.OutboundPackets != 2 || f.InboundPackets != 1 {
			t.Errorf("end: %+v", f)
		}
		if d := f.DNS; d == nil || d.RCode != tunflow.RCode(codes[i]) || d.Queries[0].Name != names[i] {
			t.Errorf("response: %+v", d)
		}
	}
	want := []tunflow.Record{{Name: "a.example", Type: 1, TTL: 60, Data: "192.0.2.80"}}
	if diff := cmp.Diff(want, ends[0].DNS.Answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}

	// The same question is another flow now. A response that comes before the query has left, or
	// a second time, belongs to none.
	router.sendTo(t, client, resolver, string(query(t, 0, names[0])))
	again := log.await(t, 3)[2]
	_, _ = far.WriteToUDPAddrPort(response(t, 0, names[0], codes[0]), peer)
	router.receiveUDP(t)
	router.Recorded(again)
	nextQuery(t, far)
	for i := range uint16(2) {
		_, _ = far.WriteToUDPAddrPort(response(t, i, names[i], codes[i]), peer)
		router.receiveUDP(t)
	}
	if n, m := router.stats.Unsolicited.Load(), log.learned(); n != 2 || m != 3 {
		t.Errorf("%d unsolicited, %d responses learned, want 2 and 3", n, m)
	}
	router.stop()
	if n := router.stats.Flows.Load(); n != 0 {
		t.Errorf("%d flows after the end", n)
	}
}

// TestQueryWaitsForNoOther: a query whose record is held up does not hold up those beside it.
func TestQueryWaitsForNoOther(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(false)
	router := startResolver(t, log, far, Options{})
	client := netip.AddrPortFrom(clientV4, 5353)
	const queries, slow = 100, 7
	for id := range uint16(queries) {
		router.sendTo(t, client, resolver, string(query(t, id, fmt.Sprintf("n%d.example", id))))
	}
	opened := log.await(t, queries)
	for id, d := range opened {
		if id != slow {
			router.Recorded(d)
		}
	}
	var got []uint16
	for range queries - 1 {
		id, _ := nextQuery(t, far)
		got = append(got, id)
	}
	wantNothing(t, far)
	slices.Sort(got)
	if len(slices.Compact(got)) != queries-1 || slices.Contains(got, slow) {
		t.Errorf("far end got %v", got)
	}
	router.Recorded(opened[slow])
	if id, _ := nextQuery(t, far); id != slow {
		t.Errorf("far end got %d at last, want %d", id, slow)
	}
}

// TestQueryWithoutAnswer: a query that gets no answer ends with its mapping, one that is refused at
// once.
func TestQueryWithoutAnswer(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	router := startResolver(t, log, far, Options{})
	client := netip.AddrPortFrom(clientV4, 5353)
	router.sendTo(t, client, resolver, string(query(t, 1, "a.example")))
	_, peer := nextQuery(t, far)
	for _, b := range [][]byte{
		response(t, 2, "a.example", 0), response(t, 1, "b.example", 0), // of other queries
		query(t, 1, "a.example"), []byte("no message"),
	} {
		_, _ = far.WriteToUDPAddrPort(b, peer)
		router.receiveUDP(t)
	}
	if log.learned() != 0 || log.ends(t)[0] != nil {
		t.Errorf("%d responses learned", log.learned())
	}
	_ = far.Close()
	router.sendTo(t, client, resolver, string(query(t, 3, "c.example")))
	if m := router.receiveICMP(t); m.Code != packet.ICMPPortUnreachable {
		t.Errorf("ICMP code %d", m.Code)
	}
	tuntest.Wait(t, "the end of the refused query", func() bool {
		all := log.ends(t)
		return len(all) == 2 && all[1] != nil
	})
	if f := log.ends(t)[1]; f.Outcome != tunflow.PortRefused || f.DNS.Queries[0].Name != "c.example" {
		t.Errorf("end: %+v", f)
	}
	router.stop()
	if f := log.ends(t)[0]; f == nil || f.Outcome != tunflow.NoAnswer || f.DNS.Response {
		t.Errorf("end: %+v", f)
	}
}

// TestResponseWithoutQuestion: servers leave the question out of some errors.
func TestResponseWithoutQuestion(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	router := startResolver(t, log, far, Options{})
	router.sendTo(t, netip.AddrPortFrom(clientV4, 5353), resolver, string(query(t, 1, "a.example")))
	_, peer := nextQuery(t, far)
	_, _ = far.WriteToUDPAddrPort(message(t, dnsmessage.Message{Header: dnsmessage.Header{
		ID: 1, Response: true, RCode: dnsmessage.RCodeFormatError,
	}}), peer)
	router.receiveUDP(t)
	f := log.ends(t)[0]
	if f == nil || f.DNS.RCode != 1 || f.DNS.Queries[0].Name != "a.example" {
		t.Errorf("end: %+v", f)
	}
}

// TestJoinedQueries: queries that come as one GSO packet, or could leave as one, are flows of their
// own, and so is anything else to the same port.
func TestJoinedQueries(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	link := &sink{}
	router := newRouter(t, link, dial.Options{Redirect: toResolver(far)}, log.options(Options{}))
	log.nat = router.NAT
	router.JoinBursts()
	client := netip.AddrPortFrom(clientV4, 5353)
	var all []byte
	for id := range uint16(3) {
		q := query(t, id, fmt.Sprintf("n%d.example", id))
		router.route(tuntest.Frame{Data: datagram(client, resolver, q)})
		all = append(all, query(t, 10+id, fmt.Sprintf("n%d.example", id))...)
	}
	router.route(tuntest.Offloaded(datagram(client, resolver, all), uint16(len(all)/3)))
	router.route(tuntest.Frame{Data: datagram(client, resolver, []byte("no query"))})
	for _, want := range []uint16{0, 1, 2, 10, 11, 12} {
		if id, _ := nextQuery(t, far); id != want {
			t.Errorf("far end got query %d, want %d", id, want)
		}
	}
	wantNext(t, far, "no query")
	opened := log.await(t, 7)
	for i, d := range opened {
		if isQuery := i < 6; isQuery != (d.DNS != nil) {
			t.Errorf("opening %d: %+v", i, d)
		}
	}
}

// TestGatheredResponses: responses that the kernel gives as one belong each to its query.
func TestGatheredResponses(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	router := startResolver(t, log, far, Options{})
	client := netip.AddrPortFrom(clientV4, 5353)
	var all []byte
	var peer netip.AddrPort
	for id := range uint16(5) {
		name := fmt.Sprintf("n%d.example", id)
		router.sendTo(t, client, resolver, string(query(t, id, name)))
		_, peer = nextQuery(t, far)
		all = append(all, response(t, id, name, 0)...)
	}
	sendGSO(t, far, peer, all, uint16(len(all)/5))
	for n := 0; n < 5; {
		_, _, got := router.receiveUDP(t)
		n += len(got)
	}
	for i, f := range log.ends(t) {
		if f == nil || f.DNS.ID != uint16(i) || !f.DNS.Response || f.InboundPackets != 1 {
			t.Errorf("end %d: %+v", i, f)
		}
	}
}

// TestDeniedQueries: the record of a query that policy forbids has its question.
func TestDeniedQueries(t *testing.T) {
	log := newTestLog(true)
	policy := dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}
	router := startRecorded(t, log, Options{}, policy)
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.MustParseAddrPort("203.0.113.1:53")
	for _, name := range []string{"a.example", "a.example", "b.example"} {
		router.sendTo(t, client, server, string(query(t, 1, name)))
		router.receiveICMP(t)
	}
	for i, d := range log.await(t, 2) {
		if !d.Denied || d.DNS == nil || d.DNS.Queries[0].Name != []string{"a.example", "b.example"}[i] {
			t.Errorf("opening: %+v", d)
		}
	}
}

// TestManyQueries: a mapping has a bounded number of queries without an answer.
func TestManyQueries(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	router := newRouter(t, &sink{}, dial.Options{Redirect: toResolver(far)}, log.options(Options{}))
	log.nat = router.NAT
	client := netip.AddrPortFrom(clientV4, 5353)
	for id := range uint16(flows.MaxQueries + 2) {
		router.route(tuntest.Frame{Data: datagram(client, resolver, query(t, id, "a.example"))})
	}
	if n := len(log.all()); n != flows.MaxQueries+2 {
		t.Fatalf("%d openings", n)
	}
	if n := log.endings(); n != 2 {
		t.Errorf("%d ended, want 2", n)
	}
	log.ends(t)
}

// BenchmarkQuery is a DNS query and its response.
func BenchmarkQuery(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		fd, port := lonePeer(b)
		to := netip.AddrPortFrom(loopbackV4, port)
		redirect := func(dst netip.AddrPort) (netip.AddrPort, bool) { return to, dst == resolver }
		o := Options{}
		var nat *NAT
		if recorded {
			o.Opened = func(d *tunflow.Datagram) tunflow.Admission {
				nat.Recorded(d)
				return tunflow.Admit
			}
			o.Ended = func(tunflow.Flow) {}
		}
		router := newRouter(b, &sink{}, dial.Options{Redirect: redirect}, o)
		nat = router.NAT
		client := netip.AddrPortFrom(clientV4, 5353)
		q := tuntest.Frame{Data: datagram(client, resolver, query(b, 1, "www.example.org"))}
		r := response(b, 1, "www.example.org", 0)
		var msg hostsock.Msghdr
		buf := make([]byte, 1<<10)
		b.Run(fmt.Sprintf("recorded=%t", recorded), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				router.route(q)
				msg.Receive(fd, buf, 0)
				msg.Send(fd, msg.Peer.AddrPort(), 0, r)
				m := router.mappingAt(mappings.Key{Client: mappings.UDP(client), Local: loopbackV4})
				router.replies.ready(m, unix.EPOLLIN)
			}
			if n := router.stats.Flows.Load(); n != 0 {
				b.Errorf("%d queries are open", n)
			}
		})
	}
}
