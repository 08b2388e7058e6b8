//go:build linux

package stack

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// A client that asks by a keepalive probe whether its far side is there gets the answer when the
// far side has answered, and the host socket its own keepalive back.
func TestProbeAsksTheFarSide(t *testing.T) {
	router, client, server := startEcho(t, Options{})
	c := router.byHand(client, server, 1000)
	c.connect(t)
	c.send(t, tuntest.ACK, 'x')
	c.awaitPayload(t, "x")
	c.send(t, tuntest.ACK)
	idle := func() int {
		router.mu.Lock()
		defer router.mu.Unlock()
		conn := router.conns[connKey{client, server}]
		idle, err := unix.GetsockoptInt(conn.fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		if err != nil {
			t.Fatal(err)
		}
		return idle
	}
	before := idle()
	probe := *c
	probe.seq-- // RFC 9293 §3.8.4
	asked := false
	for deadline := time.Now().Add(patience); !asked; {
		if time.Now().After(deadline) {
			t.Fatal("the far side is never asked")
		}
		probe.send(t, tuntest.ACK)
		for range 20 {
			if asked = idle() != before; asked {
				break
			}
			router.host.Receive(time.Millisecond) // while the far side was heard lately
		}
	}
	if s := c.awaitACK(t); s.ack != c.seq {
		t.Errorf("the probe's answer is %+v, want an acknowledgment of %d", s, c.seq)
	}
	tuntest.Wait(t, "the probe's end", func() bool { return idle() == before })
}
