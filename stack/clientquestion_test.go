//go:build linux

package stack

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// askedClient is a client by hand that tells how far it has sent.
type askedClient struct {
	syn   tuntest.TCP
	first int    // payload of a segment that comes
	ahead uint32 // bytes that it has sent beyond those that have come
	next  uint32 // that it has not got

	questions int // to it
	missing   uint64
}

// send sends a segment behind the SYN.
func (c *askedClient) send(router *testRouter, seq uint32, payload []byte) {
	s := c.syn
	s.Seq, s.Ack, s.Flags, s.Options, s.Payload = seq, c.next, tuntest.ACK, nil, payload
	_ = router.host.Send(tuntest.Frame{Data: s.Packet()})
}

// take takes a segment of the router: the SYN-ACK, or a keepalive probe.
func (c *askedClient) take(router *testRouter, s segment) {
	switch {
	case s.flags == tuntest.SYN|tuntest.ACK:
		c.next = s.seq + 1
		c.send(router, c.syn.Seq+1, make([]byte, c.first))
	case s.flags == tuntest.ACK && s.seq == c.next-1 && len(s.payload) == 0:
		c.questions++
		c.send(router, s.ack+c.ahead, nil)
	}
}

// A quiet client is asked how far it has sent. One whose ACK is ahead of what has come, by a full
// segment at least, stalls. One whose long packets have come, or that sends none, is not asked.
func TestAskClient(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		clients := map[uint16]*askedClient{
			4000: {ahead: 5000},
			4001: {first: 300, ahead: 5000},
			4002: {first: 300, ahead: 1000},
			4003: {first: 300},
			4004: {first: 1400, ahead: 5000},
			4005: {first: 300, ahead: 5000},
		}
		var mu sync.Mutex // guards clients
		port := serve(t, network, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
		router := startRouter(t, Options{
			First: func(uint16) (learn, short bool) { return true, false },
			Stalled: func(s tunflow.Stall) {
				mu.Lock()
				defer mu.Unlock()
				if s.ClientLeg && s.HidesDown() {
					clients[s.Key.Client.Port()].missing = s.Missing
				}
			},
		}, dial.Policy{})
		for at, c := range clients {
			c.syn = tuntest.TCP{
				Src: netip.AddrPortFrom(client, at), Dst: netip.AddrPortFrom(server, uint16(port)), Seq: 1000,
				Flags: tuntest.SYN, Window: 60000, Options: []byte{2, 4, 5, 180}, // MSS of 1460 bytes
			}
			if at == 4005 {
				c.syn.Options = []byte{2, 4, 4, 176} // 1200
			}
			router.host.MustSend(t, tuntest.Frame{Data: c.syn.Packet()})
		}
		stop := make(chan struct{})
		var answering sync.WaitGroup
		answering.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if f, ok := router.host.Receive(10 * time.Millisecond); ok {
					s, _ := parseSegment(f.Data)
					mu.Lock()
					if c := clients[s.to.Port()]; c != nil {
						c.take(router, s)
					}
					mu.Unlock()
				}
			}
		})
		defer func() { close(stop); answering.Wait() }()
		tuntest.Wait(t, "questions to all, and answers", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return clients[4000].missing > 0 && clients[4001].missing > 0 && clients[4002].questions > 2 && clients[4003].questions > 2
		})
		mu.Lock()
		defer mu.Unlock()
		for at, c := range clients {
			stalls, asked := at <= 4001, at <= 4003
			if c.missing > 0 != stalls || c.questions > 0 != asked || stalls && c.missing != uint64(c.ahead) {
				t.Errorf("client %d: asked %d times, %d bytes missing; want asked %t, stalls %t", at, c.questions, c.missing, asked, stalls)
			}
		}
	})
}
