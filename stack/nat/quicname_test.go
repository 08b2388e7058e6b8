//go:build linux

package nat

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// strictly has the ClientHellos of flows ask for good.example.
func strictly(o Options) Options {
	o.Contradicts = func(f *tunflow.Flow) bool { return f.Hello.SNI != "good.example" }
	return o
}

// TestQUICNames has QUIC clients ask for names, each in two datagrams of one flow. Those that are
// not its own do not leave.
func TestQUICNames(t *testing.T) {
	good, next := initials(t, "good.example"), initials(t, "good.example")
	bad := initials(t, "bad.example")
	unknown := slices.Clone(good[0])
	binary.BigEndian.PutUint32(unknown[1:], 0xfafafafa)
	greased := slices.Clone(bad[0]) // which is not authentic any more
	greased[0] &^= 0x40
	const other = "no QUIC"
	for _, tt := range []struct {
		name   string
		sent   [][]byte
		leaves int // how many of them, in order
	}{
		{"its own", [][]byte{good[0], good[1], []byte(other), good[1], good[0], []byte(other)}, 6},
		{"another", [][]byte{bad[0], bad[1], []byte(other), bad[0], bad[1], good[0], good[1]}, 0},
		{"the second half first", [][]byte{bad[1], bad[0], []byte(other)}, 0},
		{"its own, the second half first", [][]byte{good[1], good[0], []byte(other)}, 3},
		{"another later", [][]byte{good[0], good[1], []byte(other), bad[0], []byte(other), bad[1]}, 3},
		{"its own again", [][]byte{good[0], good[1], next[0], next[1], []byte(other)}, 5},
		{"half of it", [][]byte{good[0], []byte(other)}, 0},
		{"behind another protocol", [][]byte{[]byte(other), bad[0], bad[1]}, 1},
		{"a version that cannot be read", [][]byte{unknown, []byte(other)}, 0},
		{"no fixed bit", [][]byte{greased, []byte(other)}, 0},
		{"no QUIC", [][]byte{[]byte(other), {}, {0xff}}, 3},
	} {
		for _, atOnce := range []bool{true, false} { // is its opening on record
			far := tuntest.ListenUDP(t, "127.0.0.1:0")
			log := newTestLog(atOnce)
			router := startRecorded(t, log, strictly(Options{}), dial.Policy{})
			client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
			for _, d := range tt.sent {
				router.sendTo(t, client, server, string(d))
			}
			if opened := log.await(t, 1); !atOnce {
				router.Recorded(opened[0])
			}
			for i, d := range tt.sent[:tt.leaves] {
				b := make([]byte, 1<<11)
				if n, err := far.Read(b); err != nil || !slices.Equal(b[:n], d) {
					t.Fatalf("%s, at once %t: datagram %d of %d bytes is one of %d, %v", tt.name, atOnce, i, len(d), n, err)
				}
			}
			router.stop()
			wantNothing(t, far)
			if f := log.ends(t)[0]; f == nil || f.OutboundPackets != uint64(tt.leaves) {
				t.Errorf("%s, at once %t: end %+v, want %d packets", tt.name, atOnce, f, tt.leaves)
			}
		}
	}
}

// TestForbiddenQUICIsAnswered: the client learns that its datagrams do not leave when BeforeAnswer
// lets it, so that its program is there until it is known, and the name that it has asked for is on
// record.
func TestForbiddenQUICIsAnswered(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	held := make(chan func(), 2)
	router := startRecorded(t, log, strictly(Options{
		BeforeAnswer: func(_ *tunflow.Datagram, answer func()) { held <- answer },
	}), dial.Policy{})
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	for _, d := range initials(t, "bad.example") {
		router.sendTo(t, client, server, string(d))
	}
	answer := <-held
	router.wantNoAnswer(t)
	answer()
	router.receiveICMP(t)
	if n := router.stats.DropDenied.Load(); n != 2 {
		t.Errorf("%d datagrams are counted as denied, want both", n)
	}
	router.stop()
	if f := log.ends(t)[0]; f == nil || f.Hello == nil || f.Hello.SNI != "bad.example" {
		t.Errorf("end %+v", f)
	}
}

// TestUnrecordedNamesAreDropped: datagrams whose flow does not get on record are dropped after a
// while, whether or not a ClientHello has come behind them, in part or whole. Those that come after
// the record leave.
func TestUnrecordedNamesAreDropped(t *testing.T) {
	d := initials(t, "good.example")
	for _, sent := range [][][]byte{{[]byte("first"), d[0]}, {[]byte("first"), d[0], d[1]}} {
		far := tuntest.ListenUDP(t, "127.0.0.1:0")
		log := newTestLog(false)
		router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, strictly(log.options(Options{})))
		log.nat = router.NAT
		router.recorder.Patience = 0
		client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
		send := func(b []byte) { router.route(tuntest.Frame{Data: datagram(client, server, b)}) }
		for _, d := range sent {
			send(d)
		}
		router.recorder.Turn()
		if n := router.stats.DropUnrecorded.Load(); int(n) != len(sent) {
			t.Errorf("%d datagrams are dropped, want %d", n, len(sent))
		}
		router.Recorded(log.await(t, 1)[0])
		router.recorder.Turn()
		if len(sent) == 2 {
			send(d[1])
		}
		send([]byte("last"))
		router.recorder.Turn()
		if len(sent) == 2 {
			wantNext(t, far, string(d[1]))
		}
		wantNext(t, far, "last")
		router.stop()
	}
}

// TestHalfAHelloIsDropped: datagrams that wait for the rest of a ClientHello are dropped after a
// while, and the client may send them again.
func TestHalfAHelloIsDropped(t *testing.T) {
	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	log := newTestLog(true)
	router := newRouter(t, &sink{}, dial.Options{Redirect: tuntest.ToLoopback}, strictly(log.options(Options{})))
	log.nat = router.NAT
	router.recorder.Patience = 0
	client, server := netip.AddrPortFrom(clientV4, 5353), netip.AddrPortFrom(serverV4, tuntest.PortOf(far))
	d := initials(t, "good.example")
	send := func(b []byte) { router.route(tuntest.Frame{Data: datagram(client, server, b)}) }
	send(d[0])
	router.recorder.Turn()
	if n := router.stats.DropUnrecorded.Load(); n != 1 {
		t.Errorf("%d datagrams are dropped, want 1", n)
	}
	send(d[1])
	router.recorder.Turn()
	send(d[0])
	wantNext(t, far, string(d[1]), string(d[0]))
	router.stop()
}
