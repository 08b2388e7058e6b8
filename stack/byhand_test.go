//go:build linux

package stack

import (
	"net/netip"
	"testing"
	"time"

	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// handClient is a client without a TCP of its own: the test chooses each segment that it sends.
type handClient struct {
	router         *testRouter
	client, server netip.AddrPort
	isn            uint32
	seq, ack       uint32 // of its next segment
	tos            uint8
}

// segment is a TCP segment that the router has sent to a client.
type segment struct {
	to       netip.AddrPort
	flags    uint8
	seq, ack uint32
	payload  []byte
}

// byHand returns a client that has sent nothing yet.
func (r *testRouter) byHand(client, server netip.AddrPort, isn uint32) *handClient {
	return &handClient{router: r, client: client, server: server, isn: isn, seq: isn}
}

// key returns the key of the client's handshake.
func (c *handClient) key() tunflow.Key {
	return tunflow.Key{Client: c.client, Server: c.server, ISN: c.isn}
}

// send sends one segment behind those before it.
func (c *handClient) send(t *testing.T, flags uint8, payload ...byte) {
	t.Helper()
	packet := tuntest.TCP{
		Src: c.client, Dst: c.server, Seq: c.seq, Ack: c.ack, Flags: flags, Window: 65535, Payload: payload,
		IP: tuntest.IP{TOS: c.tos},
	}
	c.router.host.MustSend(t, tuntest.Frame{Data: packet.Packet()})
	c.seq += uint32(len(payload))
	if flags&(tuntest.SYN|tuntest.FIN) != 0 {
		c.seq++
	}
}

// await returns the next segment to the client that has these flags, and skips all others.
func (c *handClient) await(t *testing.T, flags uint8) segment {
	t.Helper()
	return c.awaitIf(t, func(s segment) bool { return s.flags == flags })
}

// awaitACK returns the next ACK without payload. Netstack sends payload again when the client is
// late with its ACK.
func (c *handClient) awaitACK(t *testing.T) segment {
	t.Helper()
	return c.awaitIf(t, func(s segment) bool { return s.flags == tuntest.ACK && len(s.payload) == 0 })
}

// awaitIf returns the next segment to the client that is one, and skips all others.
func (c *handClient) awaitIf(t *testing.T, isOne func(segment) bool) segment {
	t.Helper()
	var others []segment
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		f, ok := c.router.host.Receive(time.Until(deadline))
		if !ok {
			break
		}
		s, ok := parseSegment(f.Data)
		if !ok || s.to != c.client {
			continue
		}
		if isOne(s) {
			return s
		}
		others = append(others, s)
	}
	t.Fatalf("the segment does not come; others are %+v", others)
	panic("unreachable")
}

// synReceived sends the SYN and returns the router's answer.
func (c *handClient) synReceived(t *testing.T) segment {
	t.Helper()
	c.send(t, tuntest.SYN)
	return c.awaitSYNACK(t)
}

// awaitSYNACK takes the router's answer to the SYN that was sent last. That to an earlier one may
// have been sent again.
func (c *handClient) awaitSYNACK(t *testing.T) segment {
	t.Helper()
	s := c.awaitIf(t, func(s segment) bool {
		return s.flags == tuntest.SYN|tuntest.ACK && s.ack == c.seq
	})
	c.ack = s.seq + 1
	return s
}

// connect opens a connection.
func (c *handClient) connect(t *testing.T) {
	t.Helper()
	c.synReceived(t)
	c.send(t, tuntest.ACK)
}

// established returns the connection that a client has opened.
func (r *testRouter) established(t *testing.T, client *handClient) (c *conn) {
	t.Helper()
	tuntest.Wait(t, "an open connection", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		c = r.conns[connKey{client: client.client, server: client.server}]
		return c != nil && c.phase.Load() == established
	})
	return c
}

// awaitPayload takes segments until one has this payload, and has the next one acknowledge it.
func (c *handClient) awaitPayload(t *testing.T, payload string) {
	t.Helper()
	for {
		if s := c.await(t, tuntest.ACK); string(s.payload) == payload {
			c.ack = s.seq + uint32(len(payload))
			return
		}
	}
}

// again returns the client's next handshake from the same port, with another initial sequence
// number.
func (c *handClient) again(isn uint32) *handClient { return c.router.byHand(c.client, c.server, isn) }

// parseSegment takes an IP packet apart.
func parseSegment(b []byte) (s segment, ok bool) {
	var h packet.Headers
	if h.Parse(b, len(b)); !h.TCP {
		return s, false
	}
	_, to := h.Ends(b)
	return segment{
		to: to, flags: h.Flags &^ tuntest.PSH, seq: h.Seq, ack: h.Ack, payload: b[h.End:h.Length],
	}, true
}
