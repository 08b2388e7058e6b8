package query

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun/tuntest"
)

var start = time.Date(2026, 11, 23, 7, 50, 0, 0, time.UTC)

// attempts are the records of n openings: second by second, to ports 80 to 83, every fourth
// refused, from two processes.
func attempts(n int) (all []*record.Attributed) {
	replay := tracker.New(tracker.Options{OnRecord: func(r *handshake.Record) {
		all = append(all, &record.Attributed{Record: r})
	}})
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second)
		client, server := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("198.51.100.2:80")
		if i%2 == 1 {
			client, server = netip.MustParseAddrPort("[2001:db8::1]:1000"), netip.MustParseAddrPort("[2001:db8:1::2]:80")
		}
		client = netip.AddrPortFrom(client.Addr(), uint16(1000+i%50000))
		server = netip.AddrPortFrom(server.Addr(), uint16(80+i%4))
		options := []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7}
		segments := []tuntest.TCP{
			{Src: client, Dst: server, Seq: 1000, Flags: 0x02, Window: 64240, Options: options, IP: tuntest.IP{DF: true}},
			{Src: server, Dst: client, Seq: 5000, Ack: 1001, Flags: 0x52, Window: 65160, Options: options},
			{Src: client, Dst: server, Seq: 1001, Ack: 5001, Flags: 0x10, Window: 502, IP: tuntest.IP{DF: i%8 < 4, TOS: uint8(4 * i)}},
		}
		if i%4 == 3 {
			segments = []tuntest.TCP{segments[0], {Src: server, Dst: client, Ack: 1001, Flags: 0x14, IP: tuntest.IP{DF: i%8 < 4}}}
		}
		for j, s := range segments {
			b := s.Packet()
			if b[0]>>4 == 6 {
				b[2], b[3] = uint8(i), uint8(j) // the flow label
			}
			replay.Observe(at.Add(time.Duration(j)*time.Millisecond), &tcpdump.Packet{Data: b, Length: len(b), EtherType: etherType(b)})
		}
	}
	replay.Flush()
	slices.SortFunc(all, func(a, b *record.Attributed) int { return a.Time.Compare(b.Time) })
	for i, r := range all {
		o := &record.Owner{UID: 1000, PID: 4711, Process: []string{"curl", `we"ird`}[i%2]}
		r.Opening = &record.Opening{Owner: o}
	}
	return all
}

func etherType(b []byte) uint16 {
	if b[0]>>4 == 6 {
		return 0x86dd
	}
	return 0x0800
}

// write appends records to a sink of the format and returns its file's name.
func write(tb testing.TB, c config.Sink, all []*record.Attributed) string {
	tb.Helper()
	s, err := audit.Open(c, audit.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range all {
		if err := s.Record(r); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return c.Path
}
