//go:build linux

package stack

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// A sender that knows the ends of a connection and none of its numbers does not end it by a SYN
// while it waits for its record (RFC 5961 §4).
func TestBlindSYNBeforeRecord(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = c.Write([]byte("hello"))
		_, _ = io.ReadAll(c)
	})
	dialled := make(chan tunflow.Dial, 1)
	router := startRouter(t, Options{AwaitRecord: true, HandshakeTimeout: patience, DialDone: func(d tunflow.Dial) { dialled <- d }}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	d := <-dialled
	blind := tuntest.TCP{Src: d.Client, Dst: d.Server, Seq: d.ISN + 1<<30, Flags: tuntest.SYN, Window: 1000}
	router.host.MustSend(t, tuntest.Frame{Data: blind.Packet()})
	after := tuntest.TCP{Src: netip.AddrPortFrom(clientV4, 1), Dst: d.Server, Seq: 1, Flags: tuntest.SYN, Window: 1000}
	router.host.MustSend(t, tuntest.Frame{Data: after.Packet()})
	<-dialled // the blind SYN has arrived before it
	router.Recorded(d.Key, 0, nil)
	_ = c.SetDeadline(time.Now().Add(patience))
	if b, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Errorf("client has received %d bytes, %v, want hello", b, err)
	}
}
