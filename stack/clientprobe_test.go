//go:build linux

package stack

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// narrowClient is a client by hand behind a path on which packets above a size vanish in silence.
type narrowClient struct {
	router *testRouter
	syn    tuntest.TCP
	next   uint32 // that it has not got

	mu       sync.Mutex // guards the rest
	path     int
	payloads []int // of packets that have come and begin with next
	errors   [][]byte
}

// answer takes what the router sends until stop is closed. The client tells of old segments that
// come, and acknowledges none that is new.
func (c *narrowClient) answer(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		f, ok := c.router.host.Receive(10 * time.Millisecond)
		if !ok {
			continue
		}
		var h packet.Headers
		h.Parse(f.Data, len(f.Data))
		switch n := uint32(h.PayloadLen()); {
		case !h.TCP:
			c.mu.Lock()
			c.errors = append(c.errors, f.Data)
			c.mu.Unlock()
		case n > 0 && h.Seq == c.next:
			c.mu.Lock()
			size := int(n)
			if gso := int(f.Offload.GSOSize); gso > 0 {
				size = gso
			}
			c.payloads = append(c.payloads, size)
			c.mu.Unlock()
		case n > 0 && h.Seq+n == c.next && h.ChecksumOK(f.Data, nil) && len(f.Data) <= c.path:
			ack := c.syn
			ack.Seq, ack.Ack, ack.Flags = c.syn.Seq+1, c.next, tuntest.ACK
			sack := []byte{1, 1, 5, 10}
			sack = binary.BigEndian.AppendUint32(sack, h.Seq)
			ack.Options = binary.BigEndian.AppendUint32(sack, c.next)
			_ = c.router.host.Send(tuntest.Frame{Data: ack.Packet()})
		}
	}
}

// got reports whether a segment has come whose payload is within some bounds.
func (c *narrowClient) got(least, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.payloads, func(n int) bool { return n >= least && n <= most })
}

// startNarrow connects a narrowClient to a server that sends 5000 bytes, and returns the channel of
// stalls of its leg.
func startNarrow(t *testing.T, network string, client, server netip.Addr) (*narrowClient, <-chan tunflow.Stall) {
	t.Helper()
	stop, stalls := make(chan struct{}), make(chan tunflow.Stall, 1)
	port := serve(t, network, func(c *net.TCPConn) { _, _ = c.Write(make([]byte, 5000)); <-stop })
	router := startRouter(t, Options{Stalled: func(s tunflow.Stall) {
		if s.ClientLeg && (s.HidesUp() || s.HidesDown()) {
			select {
			case stalls <- s:
			default: // one is enough
			}
		}
	}}, dial.Policy{})
	syn := tuntest.TCP{
		Src: netip.AddrPortFrom(client, 4000), Dst: netip.AddrPortFrom(server, uint16(port)), Seq: 1000,
		Flags: tuntest.SYN, Window: 60000, Options: []byte{2, 4, 5, 180, 4, 2, 1, 1},
	}
	synACK := router.dialByHand(t, syn)
	c := &narrowClient{router: router, syn: syn, next: synACK.Seq + 1, path: 1400}
	var answering sync.WaitGroup
	answering.Go(func() { c.answer(stop) })
	t.Cleanup(func() { close(stop); answering.Wait() })
	return c, stalls
}

// TestClientLegStalls has packets to a client vanish: its connection stalls, probes tell their
// size, and netstack sends shorter ones when told to.
func TestClientLegStalls(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		c, stalls := startNarrow(t, network, client, server)
		s := tuntest.Receive(t, "a stall", stalls)
		header := packet.HeaderLen(client) + 20
		if !s.HidesUp() || s.HidesDown() || s.Outstanding != 5000 || s.Packet != int(s.SndMSS)+header || s.Packet < 1400 ||
			s.Remote != s.Key.Client || s.Key.Client != c.syn.Src || s.Received != 0 {
			t.Errorf("stall %+v", s)
		}
		var reached []bool
		var err error
		tuntest.Wait(t, "an answer to probes", func() bool {
			reached, err = c.router.ProbeClient(t.Context(), s.Key, []int{header + 8, 600, 1400, 1401, 1500})
			return err == nil
		})
		if want := []bool{true, true, true, false, false}; !slices.Equal(reached, want) {
			t.Errorf("probes reached the client: %v, want %v", reached, want)
		}
		if !c.router.LowerClientMTU(s.Key, 1400) {
			t.Error("the connection is not there")
		}
		tuntest.Wait(t, "a segment that fits", func() bool { return c.got(1300, 1400-header) })
		other := s.Key
		other.ISN++
		if _, err := c.router.ProbeClient(t.Context(), other, []int{600}); !errors.Is(err, ErrNoProbe) {
			t.Errorf("probes of another connection: %v", err)
		}
		if c.router.LowerClientMTU(other, 600) {
			t.Error("another connection with the same ends has shorter packets")
		}
	})
}

// TestClientHole has packets from a client vanish: it is told to send shorter ones.
func TestClientHole(t *testing.T) {
	tcpFamilies(t, func(t *testing.T, network string, client, server netip.Addr) {
		c, stalls := startNarrow(t, network, client, server)
		behind := c.syn
		behind.Seq, behind.Ack, behind.Flags, behind.Options = c.syn.Seq+1+1400, c.next, tuntest.ACK, nil
		behind.Payload = []byte("short")
		c.router.host.MustSend(t, tuntest.Frame{Data: behind.Packet()})
		s := tuntest.Receive(t, "a stall", stalls)
		for !s.HidesDown() { // it may have been seen before the segment
			s = tuntest.Receive(t, "a stall with bytes behind a hole", stalls)
		}
		if s.Received != 0 || s.Held == 0 {
			t.Errorf("stall %+v", s)
		}
		c.router.LowerClientMTU(s.Key, 1300)
		var b []byte
		tuntest.Wait(t, "an ICMP error", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.errors) > 0 {
				b = c.errors[0]
			}
			return b != nil
		})
		var h, quoted packet.Headers
		h.Parse(b, len(b))
		quote := b[h.Offset+packet.ICMPHeaderLen:]
		quoted.Parse(quote, packet.AnyLength)
		from, to := quoted.Ends(quote)
		mtu := binary.BigEndian.Uint32(b[h.Offset+4:])
		if !h.ChecksumOK(b, nil) || from != c.syn.Src || to != c.syn.Dst || quoted.Seq != c.syn.Seq+1 || mtu != 1300 || quoted.Length != 1500 {
			t.Errorf("the error of MTU %d is about %v to %v, seq %d, %d bytes", mtu, from, to, quoted.Seq, quoted.Length)
		}
	})
}
