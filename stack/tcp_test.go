//go:build linux

package stack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// families runs a test over IPv4 and IPv6.
func families(t *testing.T, test func(t *testing.T, network string, server netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { test(t, "tcp4", serverV4) })
	t.Run("IPv6", func(t *testing.T) { test(t, "tcp6", serverV6) })
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
}

func TestRelayCarriesBytesBothWays(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		port := serve(t, network, func(c *net.TCPConn) { _, _ = io.Copy(c, c); _ = c.CloseWrite() })
		client := newClient(t, startRouter(t, Options{}, dial.Policy{}))
		sent := randomBytes(16 << 20)
		c := client.dial(t, server, port)
		var writing sync.WaitGroup
		writing.Go(func() {
			if _, err := c.Write(sent); err != nil {
				t.Errorf("write: %v", err)
			}
			_ = c.CloseWrite()
		})
		got, err := io.ReadAll(c)
		writing.Wait()
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if sha256.Sum256(got) != sha256.Sum256(sent) {
			t.Errorf("echo of %d bytes came back as %d other bytes", len(sent), len(got))
		}
	})
}

func TestManyFlowsAtOnce(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startRouter(t, Options{}, dial.Policy{})
	client := newClient(t, router)
	data := randomBytes(300 << 10)
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			c, err := client.tryDial(serverV4, port, patience)
			if err != nil {
				t.Errorf("dial: %v", err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			want := data[:i*1500]
			go func() { _, _ = c.Write(want); _ = c.CloseWrite() }()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
				t.Errorf("flow %d: %d bytes of %d came back, %v", i, len(got), len(want), err)
			}
		})
	}
	clients.Wait()
	tuntest.Wait(t, "all flows gone", func() bool { return router.stats.TCPFlows.Load() == 0 })
	if n := router.stats.HalfOpen.Load(); n != 0 {
		t.Errorf("half-open handshakes left: %d", n)
	}
	tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
}

// The far side closes its direction at once and still gets everything that the client sends after.
func TestHalfCloseByServer(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		received := make(chan []byte, 1)
		port := serve(t, network, func(c *net.TCPConn) {
			_ = c.CloseWrite()
			b, _ := io.ReadAll(c)
			received <- b
		})
		c := newClient(t, startRouter(t, Options{}, dial.Policy{})).dial(t, server, port)
		if b, err := io.ReadAll(c); err != nil || len(b) != 0 {
			t.Fatalf("read: %d bytes, %v; want end of file", len(b), err)
		}
		want := randomBytes(5 << 20)
		if _, err := c.Write(want); err != nil {
			t.Fatalf("write after the far side's FIN: %v", err)
		}
		_ = c.CloseWrite()
		if got := <-received; !bytes.Equal(got, want) {
			t.Errorf("server got %d bytes, want %d", len(got), len(want))
		}
	})
}

// All that a client has sent arrives at a far side that takes its time, after both ends have
// finished.
func TestLateBytesArrive(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		read, received := make(chan struct{}), make(chan []byte, 1)
		port := serve(t, network, func(c *net.TCPConn) {
			_ = c.CloseWrite()
			<-read
			b, err := io.ReadAll(c)
			if err != nil {
				t.Errorf("server: %v", err)
			}
			received <- b
		})
		router := startRouter(t, Options{}, dial.Policy{})
		c := newClient(t, router).dial(t, server, port)
		data := randomBytes(1 << 17) // which the kernel takes
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		tuntest.Wait(t, "both ends have finished", func() bool { return router.stats.TCPFlows.Load() == 0 })
		close(read)
		if b := <-received; !bytes.Equal(b, data) {
			t.Errorf("server has received %d bytes of %d", len(b), len(data))
		}
	})
}

func TestServerResetReachesClient(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		port := serve(t, network, func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		})
		c := newClient(t, startRouter(t, Options{}, dial.Policy{})).dial(t, server, port)
		_, _ = c.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Errorf("read: %v, want connection reset", err)
		}
	})
}

func TestClientResetReachesServer(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		port, arrived, result := serveTwoReads(t, network)
		router := startRouter(t, Options{}, dial.Policy{})
		client := newClient(t, router)
		c := client.dial(t, server, port)
		_, _ = c.Write([]byte("x"))
		<-arrived
		client.reset()
		if err := <-result; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("server read: %v, want %v", err, syscall.ECONNRESET)
		}
		tuntest.Wait(t, "flow gone", func() bool { return router.stats.TCPFlows.Load() == 0 })
	})
}

// serveTwoReads serves connections that send one byte; the second read waits for how they end.
func serveTwoReads(t *testing.T, network string) (port int, first <-chan struct{}, second <-chan error) {
	arrived, ended := make(chan struct{}, 1), make(chan error, 1)
	port = serve(t, network, func(c *net.TCPConn) {
		_, _ = c.Read(make([]byte, 1))
		arrived <- struct{}{}
		_, err := c.Read(make([]byte, 1))
		ended <- err
	})
	return port, arrived, ended
}

func TestRefusedIsRefused(t *testing.T) {
	families(t, func(t *testing.T, network string, server netip.Addr) {
		port := refusingPort(t, network)
		var dials []tunflow.Dial
		router := startRouter(t, Options{DialDone: func(d tunflow.Dial) { dials = append(dials, d) }}, dial.Policy{})
		_, err := newClient(t, router).tryDial(server, port, patience)
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("dial: %v, want connection refused", err)
		}
		router.stop()
		if len(dials) != 1 || dials[0].Answer != tunflow.Refused || dials[0].Error != "ECONNREFUSED" {
			t.Errorf("DialDone: %+v, want one refused by ECONNREFUSED", dials)
		}
	})
}

func TestDeniedIsProhibited(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{Deny: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:3::/48")}})
	for _, tt := range []struct {
		name, client, server string
		icmpAt               int
		wantType, wantCode   byte
	}{
		{"IPv4", "198.51.100.1:1051", "203.0.113.9:23", 20, 3, 13},
		{"IPv6", "[2001:db8:1::1]:1051", "[2001:db8:3::9]:23", 40, 1, 1},
		{"IPv4-mapped, denied", "[2001:db8:1::1]:1051", "[::ffff:203.0.113.9]:23", 40, 1, 1},
		{"IPv4-mapped", "[2001:db8:1::1]:1051", "[::ffff:127.0.0.1]:23", 40, 1, 0}, // would be refused here
	} {
		t.Run(tt.name, func(t *testing.T) {
			syn := tuntest.TCP{Src: netip.MustParseAddrPort(tt.client), Dst: netip.MustParseAddrPort(tt.server), Seq: 7, Flags: tuntest.SYN, Window: 65535}.Packet()
			router.host.MustSend(t, tuntest.Frame{Data: syn})
			reply, ok := router.host.Receive(patience)
			if !ok {
				t.Fatal("no answer")
			}
			m := reply.Data[tt.icmpAt:]
			if m[0] != tt.wantType || m[1] != tt.wantCode {
				t.Errorf("ICMP type %d code %d, want %d, %d", m[0], m[1], tt.wantType, tt.wantCode)
			}
			if !bytes.Equal(m[8:], syn) {
				t.Error("the SYN is not quoted")
			}
		})
	}
}

func TestHalfOpenIsBounded(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) {})
	router := startRouter(t, Options{HalfOpenPerSource: 3, HandshakeTimeout: patience}, dial.Policy{})
	for i := range 10 { // SYNs whose client never acknowledges
		syn := tuntest.TCP{Src: netip.AddrPortFrom(clientV4, uint16(2000+i)), Dst: netip.AddrPortFrom(serverV4, uint16(port)), Flags: tuntest.SYN, Window: 65535}.Packet()
		router.host.MustSend(t, tuntest.Frame{Data: syn})
	}
	tuntest.Wait(t, "seven dropped", func() bool { return router.stats.DropHalfOpenPerSource.Load() == 7 })
	router.mu.Lock()
	waiting := slices.Collect(maps.Values(router.conns))
	router.mu.Unlock()
	for _, c := range waiting {
		c.endTime()
	}
	tuntest.Wait(t, "three reaped", func() bool { return router.stats.HalfOpen.Load() == 0 && router.stats.TCPFlows.Load() == 0 })
}

// TestHalfOpenOfAllIsBounded has every handshake come from another address.
func TestHalfOpenOfAllIsBounded(t *testing.T) {
	port := serve(t, "tcp4", func(*net.TCPConn) {})
	router := startRouter(t, Options{HalfOpen: 3, HandshakeTimeout: patience}, dial.Policy{})
	client, server := handPair(port)
	for addr := range 10 {
		from := netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + addr)})
		router.byHand(netip.AddrPortFrom(from, client.Port()), server, 1000).send(t, tuntest.SYN)
	}
	tuntest.Wait(t, "seven dropped", func() bool { return router.stats.DropHalfOpen.Load() == 7 })
}

// TestHalfOpenOfNetworkIsBounded has one machine use ever other addresses of its IPv6 network.
func TestHalfOpenOfNetworkIsBounded(t *testing.T) {
	port := serve(t, "tcp6", func(c *net.TCPConn) {})
	router := startRouter(t, Options{HalfOpenPerSource: 3, HandshakeTimeout: patience}, dial.Policy{})
	syn := func(last byte) {
		from := clientV6.As16()
		from[15] = last
		syn := tuntest.TCP{Src: netip.AddrPortFrom(netip.AddrFrom16(from), 2000), Dst: netip.AddrPortFrom(serverV6, uint16(port)), Flags: tuntest.SYN, Window: 65535}
		router.host.MustSend(t, tuntest.Frame{Data: syn.Packet()})
	}
	for i := range 10 {
		syn(byte(100 + i))
	}
	tuntest.Wait(t, "four dropped", func() bool { return router.stats.DropHalfOpenPerSource.Load() == 4 })
	if n := router.stats.HalfOpen.Load(); n != 6 {
		t.Errorf("%d wait for their client, want 6", n)
	}
}

// TestSetLimits changes the limit of connections under some that are open.
func TestSetLimits(t *testing.T) {
	done := make(chan struct{})
	port := serve(t, "tcp4", func(c *net.TCPConn) { <-done })
	defer close(done)
	router := startRouter(t, Options{TCPFlows: 1, HalfOpen: 1}, dial.Policy{})
	client := newClient(t, router)
	client.dial(t, serverV4, port)
	syn := tuntest.TCP{Src: netip.AddrPortFrom(clientV4, 2000), Dst: netip.AddrPortFrom(serverV4, uint16(port)), Flags: tuntest.SYN, Window: 65535}.Packet()
	router.host.MustSend(t, tuntest.Frame{Data: syn})
	tuntest.Wait(t, "a SYN dropped", func() bool { return router.stats.DropTCPFlows.Load() == 1 })
	router.SetLimits(Options{TCPFlows: 3, HalfOpen: 3})
	for range 2 {
		client.dial(t, serverV4, port)
	}
	router.SetLimits(Options{TCPFlows: 1})
	if n := router.stats.TCPFlows.Load(); n != 3 {
		t.Errorf("%d connections below the new limit, want the three that were open", n)
	}
}

func TestBadChecksumIsDropped(t *testing.T) {
	router := startRouter(t, Options{}, dial.Policy{})
	syn := tuntest.TCP{Src: netip.AddrPortFrom(clientV4, 1051), Dst: netip.AddrPortFrom(serverV4, 23), Flags: tuntest.SYN}.Packet()
	syn[len(syn)-1] ^= 1
	router.host.MustSend(t, tuntest.Frame{Data: syn})
	tuntest.Wait(t, "dropped", func() bool { return router.stats.DropChecksum.Load() == 1 })
	if n := router.stats.TCPFlows.Load(); n != 0 {
		t.Errorf("flows: %d, want none", n)
	}
}

func TestStopResetsOpenFlows(t *testing.T) {
	port, arrived, serverSaw := serveTwoReads(t, "tcp4")
	router := startRouter(t, Options{}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	_, _ = c.Write([]byte("x"))
	<-arrived
	router.stop()
	if err := <-serverSaw; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("server read: %v, want %v", err, syscall.ECONNRESET)
	}
	if n := router.stats.TCPFlows.Load(); n != 0 {
		t.Errorf("flows left: %d", n)
	}
}

// The same 4-tuple is used again as soon as the far side has closed it first.
func TestTupleIsFreeAfterClose(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = c.Write([]byte("bye")) })
	router := startRouter(t, Options{}, dial.Policy{})
	client := newClient(t, router)
	for range 500 {
		c := client.dial(t, serverV4, port)
		if b, err := io.ReadAll(c); err != nil || string(b) != "bye" {
			t.Fatalf("read: %q, %v", b, err)
		}
		_ = c.Close()
		tuntest.Wait(t, "flow gone", func() bool { return router.stats.TCPFlows.Load() == 0 })
	}
}
