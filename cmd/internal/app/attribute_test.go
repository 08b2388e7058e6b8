//go:build linux

package app

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

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
		found       bool   // before the record comes
		want        int    // process
	}{
		{"of the attempt", client, 1, 1, false, os.Getpid()},
		{"of the next attempt", client, 2, 2, false, os.Getpid()},
		{"that takes its time", client, 3, 3, true, os.Getpid()},
		{"of an attempt without a SYN", client, 4, 5, false, 0},
		{"of no process", nobody, 6, 6, false, 0},
		{"of another machine", other, 7, 7, false, 0},
	} {
		key := tap.Key{Client: tt.client, Server: server, ISN: tt.syn}
		a.segment(key, tap.Segment{Packet: tcpdump.Packet{Data: syn, Length: len(syn)}})
		for deadline := time.Now().Add(30 * time.Second); tt.found && !found(a, key); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatal("no owner found")
			}
		}
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
	if len(a.owners) != 1 { // of the SYN without a record
		t.Errorf("%d owners are kept, want 1", len(a.owners))
	}
}

func found(a *attribution, k tap.Key) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.owners[k] != nil
}
