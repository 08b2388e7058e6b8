//go:build linux

package stack

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// The routers of these tests have shards that take turns to read, so that frames come by any queue
// but that of their flow.
const testShards = 3

// No shard has workers or a poller of its own beyond Options.Workers: with more shards than that,
// shards share engines, and each engine is one of a shard.
func TestShardsShareEngines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ shards, workers, want int }{
		{1, 1, 1}, {1, 4, 1}, {2, 1, 1}, {8, 1, 1}, {8, 3, 3}, {8, 8, 8}, {2, 4, 2},
	} {
		all, err := newShared(tt.shards, Options{Workers: tt.workers})
		if err != nil {
			t.Fatal(err)
		}
		used := make(map[*engine]bool)
		for i := range tt.shards {
			used[all.engineOf(i)] = true
		}
		if len(used) != tt.want || len(all.engines) != tt.want {
			t.Errorf("%d shards, %d workers: %d engines, %d of them used, want %d",
				tt.shards, tt.workers, len(all.engines), len(used), tt.want)
		}
		if err := all.closePollers(); err != nil {
			t.Error(err)
		}
	}
}

// Connections carry all bytes, however many there are.
func TestShardsCarryConnections(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		port := serve(t, network, func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
		client := newClient(t, startShards(t, testShards, Options{}, dial.Policy{}))
		data := randomBytes(300 << 10)
		var clients sync.WaitGroup
		for i := range 20 {
			clients.Go(func() {
				c, err := client.tryDial(server, port, patience)
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				want := data[:(i+1)*15000]
				go func() { _, _ = c.Write(want); _ = c.CloseWrite() }()
				if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
					t.Errorf("connection %d: %d bytes of %d came back, %v", i, len(got), len(want), err)
				}
			})
		}
		clients.Wait()
	})
}

// A SYN that is sent again, by whichever queue, dials once; no segment of the connection is
// answered by a RST of a shard that does not have it.
func TestShardsHaveOneConnection(t *testing.T) {
	received := make(chan []byte, 10)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		received <- b
	})
	router := startShards(t, testShards, Options{}, dial.Policy{})
	server := netip.AddrPortFrom(serverV4, uint16(port))
	for i := range 2 * testShards { // at home at each of them
		c := router.byHand(netip.AddrPortFrom(clientV4, uint16(5000+i)), server, 1000)
		for range testShards + 1 {
			c.seq = c.isn
			c.send(t, tuntest.SYN)
		}
		c.awaitSYNACK(t)
		c.send(t, tuntest.ACK)
		for _, b := range []byte("hello") {
			c.send(t, tuntest.ACK, b)
		}
		c.send(t, tuntest.FIN|tuntest.ACK)
		for acked := uint32(0); acked != c.seq; {
			s := c.awaitIf(t, func(segment) bool { return true })
			if s.flags&tuntest.RST != 0 {
				t.Fatalf("connection %d: a RST: %+v", i, s)
			}
			acked = s.ack
		}
		if got := tuntest.Receive(t, "bytes", received); string(got) != "hello" {
			t.Errorf("connection %d: the server has received %q", i, got)
		}
	}
	if n := router.stats.Dials[tunflow.Connected].Load(); n != 2*testShards {
		t.Errorf("%d dials for %d connections", n, 2*testShards)
	}
	stranger := router.byHand(netip.AddrPortFrom(clientV4, 6000), server, 1000)
	stranger.send(t, tuntest.ACK)
	stranger.await(t, tuntest.RST)
}

// A client endpoint has one mapping, whichever queues its datagrams to several servers come by, and
// fragments are put together that come by several.
func TestShardsCarryDatagrams(t *testing.T) {
	for _, tt := range datagramFamilies {
		t.Run(tt.name, func(t *testing.T) {
			var router *testRouter
			router = startShards(t, testShards, Options{
				DatagramOpened: func(d *tunflow.Datagram) tunflow.Admission {
					go router.DatagramRecorded(d) // as of another goroutine
					return tunflow.Admit
				},
			}, dial.Policy{})
			const clients = 4
			var seen [clients]netip.AddrPort
			for range 3 {
				far := tuntest.ListenUDP(t, tt.loopback)
				server := netip.AddrPortFrom(tt.server, tuntest.PortOf(far))
				for i := range clients {
					from := router.host.Exchange(t, netip.AddrPortFrom(tt.client, uint16(5000+i)), server, far)
					if seen[i].IsValid() && seen[i] != from {
						t.Errorf("client %d is seen as %v and as %v", i, seen[i], from)
					}
					seen[i] = from
					answer := []byte("answer")
					if _, err := far.WriteToUDPAddrPort(answer, from); err != nil {
						t.Fatal(err)
					}
					if f := router.host.MustReceive(t); !bytes.HasSuffix(f.Data, answer) {
						t.Errorf("client %d has received %x", i, f.Data)
					}
				}
			}
			if n := router.stats.Datagrams.UDP.Load(); n != clients {
				t.Errorf("%d mappings of %d clients", n, clients)
			}
			far := tuntest.ListenUDP(t, tt.loopback)
			want := randomBytes(5000)
			for i := range clients {
				datagram := tuntest.UDP{
					Src: netip.AddrPortFrom(tt.client, uint16(5000+i)),
					Dst: netip.AddrPortFrom(tt.server, tuntest.PortOf(far)), Payload: want,
				}.Packet()
				for _, p := range fragments(datagram, 1448) {
					router.host.MustSend(t, tuntest.Frame{Data: p})
				}
				got := make([]byte, 1<<16)
				n, from, err := far.ReadFromUDPAddrPort(got)
				if err != nil || !bytes.Equal(got[:n], want) || from != seen[i] {
					t.Errorf("%d bytes of client %d from %v, %v; want %d from %v", n, i, from, err, len(want), seen[i])
				}
			}
		})
	}
}

// Limits are those of all shards together.
func TestShardsShareLimits(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	const most = 4
	router := startShards(t, testShards, Options{
		TCPFlows: 2 * most, HalfOpenPerSource: most, HandshakeTimeout: patience,
		Datagrams: mappings.Limits{Mappings: 100, PerSource: most},
	}, dial.Policy{})
	server := netip.AddrPortFrom(serverV4, uint16(port))
	half, clients := router.stats.HalfOpen.Load, []*handClient{}
	for i := range 3 * most {
		c := router.byHand(netip.AddrPortFrom(clientV4, uint16(5000+i)), server, 1000)
		clients = append(clients, c)
		c.send(t, tuntest.SYN)
		if i < most {
			c.awaitSYNACK(t)
		}
	}
	stats := router.Stats
	tuntest.Wait(t, "all SYNs but a few dropped", func() bool {
		return stats().DropHalfOpenPerSource.Load() == 2*most
	})
	if n := half(); n != most {
		t.Errorf("%d half-open handshakes, want %d", n, most)
	}
	for _, c := range clients[:most] {
		c.send(t, tuntest.ACK)
	}
	tuntest.Wait(t, "no half-open handshake", func() bool { return half() == 0 })
	for _, c := range clients[most : 2*most] {
		c.seq = c.isn
		c.synReceived(t)
	}
	clients[3*most-1].seq = 1000
	clients[3*most-1].send(t, tuntest.SYN)
	tuntest.Wait(t, "a SYN beyond all dropped", func() bool { return stats().DropTCPFlows.Load() == 1 })

	far := tuntest.ListenUDP(t, "127.0.0.1:0")
	for i := range 3 * most {
		client := netip.AddrPortFrom(clientV4, uint16(5000+i))
		router.host.Exchange(t, client, netip.AddrPortFrom(serverV4, tuntest.PortOf(far)), far)
		if n := router.stats.Datagrams.UDP.Load(); n > most {
			t.Errorf("%d mappings, want %d at most", n, most)
		}
	}
	if n := router.stats.Datagrams.Evicted.Load(); n != 2*most {
		t.Errorf("%d mappings have given way, want %d", n, 2*most)
	}
}

// The sample of first bytes is one of all shards.
func TestShardsShareFirst(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	var looks atomic.Int32
	client := newClient(t, startShards(t, testShards, Options{First: func(uint16) (learn, short bool) {
		looks.Add(1)
		return false, false
	}}, dial.Policy{}))
	for range 2 * testShards * mostFirst {
		c := client.dial(t, serverV4, port)
		if _, err := c.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if n := looks.Load(); n != mostFirst {
		t.Errorf("a sample of %d connections, want %d", n, mostFirst)
	}
}

// The stack speaks for the connections of all shards.
func TestShardsSpeakAsOne(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startShards(t, testShards, Options{}, dial.Policy{})
	homes := make(map[*Stack]bool)
	for i := range 3 * testShards {
		client, server := netip.AddrPortFrom(clientV4, uint16(5000+i)), netip.AddrPortFrom(serverV4, uint16(port))
		c := router.byHand(client, server, 1000)
		c.connect(t)
		c.send(t, tuntest.ACK) // with four frames for each, the next SYN comes by another queue
		c.send(t, tuntest.ACK, []byte("hello")...)
		tuntest.Wait(t, "bytes acknowledged", func() bool {
			n, ok := router.AckedOf(c.key())
			return ok && n == 5
		})
		homes[router.home(connKey{client, server})] = true
		if router.PathMTU(client, server) == 0 || !router.ClearDF(c.key()) || !router.LowerClientMTU(c.key(), 1300) {
			t.Errorf("connection %d is unknown", i)
		}
		router.ResetStuck(c.key())
		c.awaitIf(t, func(s segment) bool { return s.flags&tuntest.RST != 0 })
	}
	if len(homes) != testShards {
		t.Errorf("the connections are at %d of %d shards", len(homes), testShards)
	}
	tuntest.Wait(t, "no connections", func() bool { return router.stats.TCPFlows.Load() == 0 })
}

// A packet of a host socket of any shard opens no other.
func TestShardsKnowTheirSockets(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	dialled := make(chan tunflow.Dial, testShards)
	router := startShards(t, testShards, Options{DialDone: func(d tunflow.Dial) {
		if d.Answer == tunflow.Connected {
			dialled <- d
		}
	}}, dial.Policy{})
	router.byHand(netip.AddrPortFrom(clientV4, 5000), netip.AddrPortFrom(serverV4, uint16(port)), 1).connect(t)
	d := tuntest.Receive(t, "dial", dialled)
	for range testShards {
		router.byHand(d.Local, d.Remote, 1).send(t, tuntest.SYN)
	}
	tuntest.Wait(t, "all SYNs dropped", func() bool { return router.stats.DropOwnSocket.Load() == testShards })
}
