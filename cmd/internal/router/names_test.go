//go:build linux

package router

import (
	"net"
	"net/netip"
	"testing"

	"syntap/cmd/internal/record"
	"syntap/stack/names"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

var localClient = netip.MustParseAddr("192.0.2.1")

// known returns a namer of local clients that have asked for a name as user 1000, and as the
// resolver, user 53; and the key of a handshake with its address.
func known(t *testing.T) (*namer, func(server string) flow.Key) {
	t.Helper()
	unknown := newNeighbors(func(netip.Addr) (int, net.HardwareAddr) { return 0, nil })
	n := newNamer(func(a netip.Addr) bool { return a == localClient }, unknown)
	n.owners, n.resolver = true, func(uid uint32) bool { return uid == 53 }
	learn := func(uid uint32, name, addr string) {
		n.answered(localClient, &record.Owner{UID: uid}, &flow.DNS{
			Response: true, Queries: []flow.Question{{Name: name, Type: 1}},
			Answers: []flow.Record{{Name: name, Type: 1, TTL: 60, Data: addr}},
		})
	}
	learn(1000, "own.example", "203.0.113.1")
	learn(53, "all.example", "203.0.113.2")
	port := uint16(0)
	return n, func(server string) flow.Key {
		port++
		client := netip.AddrPortFrom(localClient, port)
		return flow.Key{Client: client, Server: netip.AddrPortFrom(netip.MustParseAddr(server), 80), ISN: 7}
	}
}

func recordOf(k flow.Key, o handshake.Outcome) *handshake.Record {
	return &handshake.Record{Client: k.Client, Server: k.Server, ClientISN: k.ISN, Outcome: o}
}

// TestNamerOfHandshakes has handshakes end in each way, and looks at the names that they keep.
func TestNamerOfHandshakes(t *testing.T) {
	t.Parallel()
	n, key := known(t)
	user := func(uid uint32) *record.Owner { return &record.Owner{UID: uid} }
	const own, all = "203.0.113.1", "203.0.113.2"
	for _, tt := range []struct {
		name    string
		server  string
		owner   *record.Owner
		events  string // s: SYN, e: record says established, r: refused, g: gone
		want    string
		remains int // uses of names, before the connection is gone
	}{
		{"established", own, user(1000), "seg", "own.example", 1},
		{"sent again", own, user(1000), "sseg", "own.example", 1},
		{"refused", own, user(1000), "srg", "own.example", 0},
		{"gone before its record", own, user(1000), "sge", "own.example", 0},
		{"never gone", own, user(1000), "sr", "own.example", 0},
		{"of another user", own, user(0), "seg", "", 0},
		{"of a user who is not known", own, nil, "seg", "", 0},
		{"asked through the resolver", all, user(0), "seg", "all.example", 1},
		{"an address that was not asked for", "203.0.113.3", user(1000), "seg", "", 0},
	} {
		k, got := key(tt.server), ""
		for _, event := range tt.events {
			switch event {
			case 's':
				n.syn(k, tt.owner)
			case 'e', 'r':
				outcome := handshake.Established
				if event == 'r' {
					outcome = handshake.Refused
				}
				if name := n.handshake(recordOf(k, outcome)); name != nil {
					got = name.Name
				}
				if open := n.table.Stats().Open; open != tt.remains {
					t.Errorf("%s: %d uses after the record, want %d", tt.name, open, tt.remains)
				}
			case 'g':
				n.gone(k)
			}
		}
		if got != tt.want {
			t.Errorf("%s: name %q, want %q", tt.name, got, tt.want)
		}
		if open := n.table.Stats().Open; open != 0 || len(n.handshakes) != 0 {
			t.Errorf("%s: %d uses and %d handshakes remain", tt.name, open, len(n.handshakes))
		}
	}
}

// TestNamerOfDatagrams has flows begin and end.
func TestNamerOfDatagrams(t *testing.T) {
	t.Parallel()
	n, key := known(t)
	for _, tt := range []struct {
		server string
		denied bool
		want   string
		open   int
	}{
		{"203.0.113.1", false, "own.example", 1},
		{"203.0.113.1", true, "own.example", 0},
		{"203.0.113.3", false, "", 0},
	} {
		k, got := key(tt.server), ""
		d := &flow.Datagram{Client: k.Client, Server: k.Server, Denied: tt.denied}
		if name := n.datagram(d, &record.Owner{UID: 1000}); name != nil {
			got = name.Name
		}
		if open := n.table.Stats().Open; got != tt.want || open != tt.open {
			t.Errorf("%+v: name %q and %d uses, want %q and %d", d, got, open, tt.want, tt.open)
		}
		n.ended(d)
		if open := n.table.Stats().Open; open != 0 || len(n.flows) != 0 {
			t.Errorf("%+v: %d uses remain", d, open)
		}
	}
}

// TestNamerBound has more handshakes begin than are kept, of which no more is heard.
func TestNamerBound(t *testing.T) {
	t.Parallel()
	n, key := known(t)
	k := key("203.0.113.1")
	for i := range uint32(3 * maxNamed) {
		k.ISN = i
		n.syn(k, &record.Owner{UID: 1000})
	}
	if open, kept := n.table.Stats().Open, len(n.handshakes)+len(n.older); open != kept || kept > 2*maxNamed {
		t.Errorf("%d uses and %d handshakes are kept, want at most %d", open, kept, 2*maxNamed)
	}
	if name := n.handshake(recordOf(k, handshake.Established)); name == nil {
		t.Error("the last handshake has lost its name")
	}
}

// TestNamerOfClients has clients of all kinds ask, and looks who has the names.
func TestNamerOfClients(t *testing.T) {
	t.Parallel()
	machine, server := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.1")
	answer := &flow.DNS{
		Response: true, Queries: []flow.Question{{Name: "a.example", Type: 1}},
		Answers: []flow.Record{{Name: "a.example", Type: 1, TTL: 60, Data: server.String()}},
	}
	user := &record.Owner{UID: 1000}
	for _, tt := range []struct {
		name    string
		owners  bool // can be found
		asks    netip.Addr
		asker   *record.Owner
		client  netip.Addr
		owner   *record.Owner
		isNamed bool
	}{
		{"a machine", true, machine, nil, machine, nil, true},
		{"another machine", true, machine, nil, netip.MustParseAddr("198.51.100.2"), nil, false},
		{"a user of the host", true, machine, nil, localClient, user, false},
		{"the user", true, localClient, user, localClient, user, true},
		{"two unknown users", true, localClient, nil, localClient, nil, false},
		{"programs where owners are not known", false, localClient, nil, localClient, nil, true},
	} {
		n, _ := known(t)
		n.owners, n.table = tt.owners, names.New(names.Limit)
		n.answered(tt.asks, tt.asker, answer)
		if name, _ := n.begin(tt.client, server, tt.owner); (name != nil) != tt.isNamed {
			t.Errorf("%s: %+v, want a name: %t", tt.name, name, tt.isNamed)
		}
	}
}

func TestConflict(t *testing.T) {
	t.Parallel()
	f := &flow.Flow{HTTPHost: "evil.example"}
	name := &record.Name{Name: "www.example", Others: []string{"img.example"}}
	for _, tt := range []struct {
		opening *record.Opening
		host    string
		want    bool
	}{
		{nil, "evil.example", false},
		{&record.Opening{}, "evil.example", false},
		{&record.Opening{Name: name}, "evil.example", true},
		{&record.Opening{Name: name}, "img.example", false},
	} {
		f.HTTPHost = tt.host
		if got := conflict(tt.opening, f); got != tt.want {
			t.Errorf("conflict(%+v, %s) = %t, want %t", tt.opening, tt.host, got, tt.want)
		}
	}
}
