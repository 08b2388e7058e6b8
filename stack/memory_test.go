//go:build linux

package stack

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/stack/netstack"
	"syntap/stack/sockmem"
	"syntap/tun/tuntest"
)

// Where memory is short, connections begin with tight buffers and carry bytes all the same, and
// SYNs beyond it are dropped and counted. In the end nothing is charged.
func TestMemoryIsBounded(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startRouter(t, Options{
		Memory: 8 << 20, HandshakeTimeout: 5 * time.Second, sweepInterval: 100 * time.Millisecond,
	}, dial.Policy{})
	client := newClient(t, router)
	var conns []net.Conn
	isTight := func() bool {
		router.mu.Lock()
		defer router.mu.Unlock()
		for _, c := range router.conns {
			if c.memory.tight.Load() {
				return true
			}
		}
		return false
	}
	for !isTight() {
		if conns = append(conns, client.dial(t, serverV4, port)); len(conns) > 100 {
			t.Fatal("a hundred connections in 8 MiB have room")
		}
	}
	tight := conns[len(conns)-1]
	data := randomBytes(512 << 10)
	go func() { _, _ = tight.Write(data) }()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(tight, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a tight connection carries other bytes, %v", err)
	}

	dropped := func() uint64 { return router.stats.DropMemory.Load() + router.stats.DropMemoryPerSource.Load() }
	for i := 0; dropped() == 0; i++ { // handshakes that their clients do not complete
		if i > 5000 {
			t.Fatal("5000 handshakes fit in 8 MiB")
		}
		syn := tuntest.TCP{
			Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 9}), uint16(1024+i)),
			Dst: netip.AddrPortFrom(serverV4, uint16(port)), Flags: tuntest.SYN, Window: 65535,
		}
		router.host.MustSend(t, tuntest.Frame{Data: syn.Packet()})
	}
	if m := router.Memory(); m.Held > m.Reserved || m.Reserved > m.Limit {
		t.Errorf("memory %+v: held beyond its charge, or charged beyond the limit", m)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
	tuntest.Wait(t, "no loan", func() bool { return router.memory.Lent() == 0 })
}

// A connection that becomes tight while it lacks a segment takes that, and all after it.
func TestTightWithGap(t *testing.T) {
	const missing, segment, segments = 1000, 1400, 10
	got := make(chan int, 100)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		b := make([]byte, 64<<10)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			got <- n
		}
	})
	router := startRouter(t, Options{Memory: 8 << 20, sweepInterval: 100 * time.Millisecond}, dial.Policy{})
	client := router.byHand(netip.AddrPortFrom(clientV4, 4000), netip.AddrPortFrom(serverV4, uint16(port)), 1000)
	client.connect(t)
	c := router.established(t, client)
	first := client.seq
	client.seq += missing
	for range segments {
		client.send(t, tuntest.ACK, make([]byte, segment)...)
	}
	tuntest.Wait(t, "segments after a gap", func() bool {
		at, _ := netstack.ProgressOf(c.ep)
		return at.AfterGap >= segments*segment
	})
	scarce := router.memory.Payer(netip.MustParseAddr("192.0.2.200"), false)
	scarce.Charge(7 << 20)
	tuntest.Wait(t, "a tight connection", func() bool {
		c.memory.sizing.Lock() // not while its buffers are resized
		defer c.memory.sizing.Unlock()
		return c.memory.socketSize() == sockmem.Tight
	})
	client.seq = first
	client.send(t, tuntest.ACK, make([]byte, missing)...)
	for n := 0; n < missing+segments*segment; n += tuntest.Receive(t, "all bytes", got) {
	}
	scarce.Charge(-7 << 20)
	router.memory.Leave(&scarce)
}

// A connection that has moved bytes down and is idle keeps no buffer of a read alive.
func TestIdleKeepsNoReadBuffer(t *testing.T) {
	const connections = 30
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	client := newClient(t, startRouter(t, Options{}, dial.Policy{}))
	heap := func() int64 {
		var m runtime.MemStats
		for range 2 { // pools are empty after two
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var before int64
	for i := range connections {
		if i == 1 {
			before = heap()
		}
		c := client.dial(t, serverV4, port)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		heap() // the next read has another buffer
	}
	if each := (heap() - before) / (connections - 1); each > maxRead/4 {
		t.Errorf("an idle connection keeps %d KiB", each>>10)
	}
}

// What a far side sends and a client does not read stays small where memory is not free, though the
// client has read some before: the kernel would let the host socket's buffer grow with it.
func TestStalledDownloadIsBounded(t *testing.T) {
	read, stalled := make(chan struct{}), make(chan struct{})
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		data := make([]byte, 64<<10)
		for isRead := false; ; {
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			_, err := c.Write(data)
			if err != nil && isRead {
				break
			}
			select {
			case <-read: // a write that takes a second before shows that the machine stalls
				isRead = true
			default:
			}
		}
		close(stalled)
		_, _ = c.Read(data) // until the router ends
	})
	router := startRouter(t, Options{Memory: 3 << 19}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	if _, err := io.CopyN(io.Discard, c, 512<<10); err != nil {
		t.Fatal(err)
	}
	close(read)
	<-stalled
	if held := router.Memory().Held; held > 400<<10 {
		t.Errorf("a connection that is not read holds %d KiB", held>>10)
	}
}

// A direction that grows while the other one has the connection's small buffers resized has the
// large buffer that it pays for.
func TestGrowsWhileResized(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	router := startRouter(t, Options{}, dial.Policy{})
	client := router.byHand(netip.AddrPortFrom(clientV4, 4000), netip.AddrPortFrom(serverV4, uint16(port)), 1000)
	client.connect(t)
	c := router.established(t, client)
	for _, d := range []*direction{&c.outbound, &c.inbound} {
		lent := router.memory.Lent()
		grown := make(chan struct{})
		c.memory.sizing.Lock()
		go func() {
			defer close(grown)
			d.noteMoved(growAfter)
		}()
		tuntest.Wait(t, "a loan", func() bool { return router.memory.Lent() > lent })
		d.setBuffer(d.smallBuffer()) // as resizeBuffers does
		c.memory.sizing.Unlock()
		within(t, grown)
		options := c.ep.SocketOptions()
		got, want := options.GetReceiveBufferSize(), d.bufferSize()
		if d.inbound() {
			got = options.GetSendBufferSize()
		}
		if got != want || !d.large.Load() {
			t.Errorf("a buffer of %d bytes, want %d", got, want)
		}
	}
}
