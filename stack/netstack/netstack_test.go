//go:build linux

package netstack

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// Rewrite sees the SYN-ACK, whose headers it may change, and no segment that has offloads.
func TestRewrite(t *testing.T) {
	t.Parallel()
	var seen, others atomic.Int64
	r := newRig(t, Options{Rewrite: func(headers []byte) {
		if seen.Add(1); header.TCP(headers[20:]).Flags() != header.TCPFlagSyn|header.TCPFlagAck {
			others.Add(1)
		}
		headers[8] = 33 // the TTL
	}})
	o := r.open(t)
	if ttl := o.synAck.data[8]; ttl != 33 {
		t.Errorf("the SYN-ACK has a TTL of %d, want the one that Rewrite set", ttl)
	}
	if _, err := o.ep.Write(bytes.NewReader([]byte("hello")), tcpip.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.segment(t, "segment")
	if n, m := seen.Load(), others.Load(); n == 0 || m > 0 {
		t.Errorf("Rewrite saw %d packets, %d of them others than the SYN-ACK", n, m)
	}
}

// A frame that the link refuses is counted and sent again; a closed link is no error.
func TestLinkFails(t *testing.T) {
	t.Parallel()
	var refused atomic.Int64
	r := newRig(t, Options{Refused: func() { refused.Add(1) }})
	o := r.open(t)
	failure := errors.New("refused")
	r.link.fail.Store(&failure)
	if _, err := o.ep.Write(bytes.NewReader([]byte("hello")), tcpip.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "refused frame", func() bool { return refused.Load() > 0 })
	r.link.fail.Store(nil)
	if f := r.segment(t, "segment again"); string(f.payload()) != "hello" {
		t.Errorf("%q was sent again, want hello", f.payload())
	}
	before := refused.Load()
	r.link.fail.Store(&os.ErrClosed)
	o.ep.Abort()
	if n := refused.Load(); n != before {
		t.Errorf("%d refused frames on a closed link", n-before)
	}
}

// A silent client is probed, and given up without an answer.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	entry, gone := waiter.NewChannelEntry(waiter.EventHUp | waiter.EventErr)
	o.queue.EventRegister(&entry)
	SetKeepalive(o.ep, 10*time.Millisecond, 10*time.Millisecond, 3)
	for range 3 {
		if f := r.segment(t, "probe"); f.tcp().SequenceNumber() != r.ack-1 {
			t.Errorf("a probe with the number %d, want %d", f.tcp().SequenceNumber(), r.ack-1)
		}
	}
	tuntest.Receive(t, "end", gone)
}

// A client is probed at once, and by its keepalive from then on.
func TestProbeClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	SetKeepalive(o.ep, time.Hour, time.Hour, 3)
	ProbeClient(o.ep, 2*time.Hour)
	if f := r.segment(t, "probe"); f.tcp().SequenceNumber() != r.ack-1 || len(f.payload()) > 0 {
		t.Errorf("a probe with the number %d, want %d", f.tcp().SequenceNumber(), r.ack-1)
	}
	var idle tcpip.KeepaliveIdleOption
	if err := o.ep.GetSockOpt(&idle); err != nil || time.Duration(idle) != 2*time.Hour {
		t.Errorf("the client is probed again after %v, want 2h: %v", time.Duration(idle), err)
	}
}

// UDP and ICMP packets go to the handler, in pieces or not, and are not answered.
func TestHandleOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	handled := make(chan []byte, 16)
	r.HandleOthers(func(b []byte) { handled <- b })
	r.DeliverCopy(tuntest.UDP{Src: clientEnd, Dst: serverEnd, Payload: []byte("x")}.Packet())
	var h packet.Headers
	got := tuntest.Receive(t, "datagram", handled)
	if h.Parse(got, len(got)); h.Proto != packet.ProtoUDP || got[len(got)-1] != 'x' {
		t.Errorf("packet %x, want UDP with x", got)
	}
	if n := len(r.link.frames); n != 0 {
		t.Errorf("netstack has answered a datagram with %d frames", n)
	}
}

// An address is registered for as long as a connection uses it, and never after its end.
func TestAddresses(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	client, server := clientEnd.Addr(), serverEnd.Addr()
	count := func() int { return len(r.AllAddresses()[NIC]) }
	before := count()
	var first, second, late Lease
	r.Addresses.Register(&first, client, server)
	r.Addresses.Register(&first, client, server) // once
	r.Addresses.Register(&second, client, netip.MustParseAddr("192.0.2.2"))
	if n := count() - before; n != 3 {
		t.Errorf("%d addresses of two connections with one client, want 3", n)
	}
	for _, addr := range []netip.Addr{client, server} {
		if r.CheckLocalAddress(NIC, header.IPv4ProtocolNumber, tcpip.AddrFrom4(addr.As4())) != NIC {
			t.Errorf("netstack does not find %s among its addresses", addr)
		}
	}
	r.Addresses.Release(&first, client, server)
	r.Addresses.Release(&first, client, server)
	if n := count() - before; n != 2 {
		t.Errorf("%d addresses of one connection, want 2", n)
	}
	r.Addresses.Release(&second, client, netip.MustParseAddr("192.0.2.2"))
	r.Addresses.Release(&late, client, server)
	r.Addresses.Register(&late, client, server)
	if n := count() - before; n != 0 {
		t.Errorf("%d addresses without a connection", n)
	}
	var six Lease
	r.Addresses.Register(&six, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"))
	if n := count() - before; n != 0 {
		t.Errorf("%d IPv6 addresses were registered, which netstack finds without", n)
	}
}
