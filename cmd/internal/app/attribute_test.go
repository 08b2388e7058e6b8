//go:build linux

package app

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"syntap/tap"
	"syntap/tap/tcpdump"
)

// A record names the process that was looked for when its SYN passed, however soon it comes. Others name none, and do not wait.
func TestAttribution(t *testing.T) {
	t.Parallel()
	records := make(chan *tap.Record, 2)
	a, err := newAttribution(netip.Addr.IsLoopback, func(r *tap.Record) { records <- r })
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	syn := make([]byte, 40)
	syn[0], syn[9], syn[33] = 0x45, 6, 0x02
	client, server := conn.LocalAddr().(*net.TCPAddr).AddrPort(), conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	for _, tt := range []struct {
		name   string
		syn    tap.Key
		record tap.Record
		want   int // process
	}{
		{"its own", tap.Key{Client: client, Server: server, ISN: 1}, tap.Record{Client: client, Server: server, ClientISN: 1}, os.Getpid()},
		{"of another attempt", tap.Key{Client: client, Server: server, ISN: 2}, tap.Record{Client: client, Server: server, ClientISN: 3}, 0},
		{"nobody's", tap.Key{Client: server, Server: client, ISN: 4}, tap.Record{Client: server, Server: client, ClientISN: 5}, 0},
		{"of another machine", tap.Key{Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: server}, tap.Record{Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: server}, 0},
	} {
		a.segment(tt.syn, tap.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}})
		a.record(&tt.record)
		pid := 0
		if r := <-records; r.Owner != nil {
			pid = r.Owner.PID
		}
		if pid != tt.want {
			t.Errorf("a record %s names process %d, want %d", tt.name, pid, tt.want)
		}
	}
	if err := a.close(); err != nil {
		t.Error(err)
	}
}
