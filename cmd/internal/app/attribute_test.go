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
	records := make(chan *tap.Record, 1)
	machine := netip.MustParseAddr("127.0.0.1")
	a, err := newAttribution(func(addr netip.Addr) bool { return addr == machine }, func(r *tap.Record) { records <- r })
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := l.Addr().(*net.TCPAddr).AddrPort()
	connect := func(from string) netip.AddrPort {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp4", server.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn.LocalAddr().(*net.TCPAddr).AddrPort()
	}
	client, other, nobody := connect("127.0.0.1"), connect("127.0.0.2"), netip.AddrPortFrom(machine, 1)
	syn := make([]byte, 40)
	syn[0], syn[9], syn[33] = 0x45, 6, 0x02
	for _, tt := range []struct {
		name        string
		client      netip.AddrPort
		syn, record uint32 // their initial numbers
		want        int    // process
	}{
		{"of the attempt", client, 1, 1, os.Getpid()},
		{"of the next attempt", client, 2, 2, os.Getpid()},
		{"of an attempt without a SYN", client, 3, 4, 0},
		{"of no process", nobody, 5, 5, 0},
		{"of another machine", other, 6, 6, 0},
	} {
		a.segment(tap.Key{Client: tt.client, Server: server, ISN: tt.syn}, tap.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}})
		a.record(&tap.Record{Client: tt.client, Server: server, ClientISN: tt.record})
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
