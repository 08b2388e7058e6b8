//go:build linux

package stack

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"syntap/stack/dial"
	"syntap/stack/sockmem"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// The first bytes of a connection tell where the numbers of its far side begin, and are a segment
// of their own where they are many. All bytes cross as ever, and a far side that is slow is asked,
// and tells that nothing is missing.
func TestFirst(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		const size = 4000
		asked := make(chan struct{})
		port := serve(t, network, func(c *net.TCPConn) {
			b := make([]byte, size)
			_, _ = io.ReadFull(c, b)
			_, _ = c.Write(b)
			_, _ = io.ReadFull(c, b[:5])
			<-asked
			_, _ = c.Write(b)
			_, _ = c.Read(b)
		})
		stalls := make(chan tunflow.Stall, 100)
		router := startRouter(t, Options{
			First: func(p uint16) (learn, short bool) { return p == uint16(port), true },
			Stalled: func(s tunflow.Stall) {
				if !s.ClientLeg {
					stalls <- s
				}
			},
		}, dial.Policy{})
		c := newClient(t, router).dial(t, server, port)
		if _, err := c.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		var of *conn
		router.mu.Lock()
		for _, c := range router.conns {
			of = c
		}
		router.mu.Unlock()
		far := of.far.Load()
		if far == nil {
			t.Fatal("the numbers of the far side are not known")
		}
		info, _ := sockmem.TCP(of.fd)
		if info.Data_segs_out < 2 {
			t.Errorf("%d segments, want a short one first", info.Data_segs_out)
		}
		if _, err := io.WriteString(c, "hello"); err != nil {
			t.Fatal(err)
		}
		tuntest.Wait(t, "an answer to a keepalive probe", func() bool {
			s := tuntest.Receive(t, "a look", stalls)
			if s.Missing != 0 || s.Received != size {
				t.Fatalf("stall %+v", s)
			}
			return s.Silent > stallInterval && s.Heard < s.Silent-stallInterval/2
		})
		close(asked)
		if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	})
}
