package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// memoryLimit is limits.memory of these tests, in bytes.
const memoryLimit = 16 * megabyte

// memoryLab is a gateway with a limit on the memory for connections. Its servers are in lab.Server.
type memoryLab struct {
	*tuntest.Lab
	r                        *router
	sending, silent, echoing string // addresses: one server sends all it can, one reads nothing
	endSilence               func() // has the latter close its connections

	stalled []net.Conn
	filling sync.WaitGroup
	Memory  struct{ Held, Reserved, Limit int } // when last asked for, as the next
	Drops   map[string]int
	Flows   struct{ TCP int }
}

func newMemoryLab(t *testing.T, limit int) *memoryLab {
	t.Helper()
	requireTools(t, "curl")
	m := &memoryLab{Lab: tuntest.NewLab(t)}
	m.Client.AddAddress("eth0", "192.0.2.3/24")
	over := make(chan struct{})
	m.endSilence = sync.OnceFunc(func() { close(over) })
	t.Cleanup(m.endSilence)
	serve := func(port string, handle func(*net.TCPConn)) string {
		listener := m.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, port))
		go serveAll(listener, handle)
		return listener.Addr().String()
	}
	m.sending = serve("7001", func(conn *net.TCPConn) { _, _ = io.Copy(conn, zeros{}) })
	m.echoing = serve("7002", func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	m.silent = serve("7003", func(*net.TCPConn) { <-over })
	m.r = run(t, m.Router, "syntap0", gatewayOf+fmt.Sprintf("limits: {memory: %d}\n", limit))
	return m
}

// newNarrowMemoryLab returns a lab with little memory, in which a client's kernel takes few bytes
// that are not read: these have moved, and are no stall.
func newNarrowMemoryLab(t *testing.T) *memoryLab {
	t.Helper()
	m := newMemoryLab(t, memoryLimit)
	for _, ns := range []*tuntest.Namespace{m.Client, m.Router} {
		ns.Sysctl("net.ipv4.tcp_rmem", "4096 32768 65536")
	}
	return m
}

// ask asks the router for its memory and drops.
func (m *memoryLab) ask(t *testing.T) {
	t.Helper()
	text := m.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/api/status")
	if err := json.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// stall opens connections that are not read until one has to wait by the reason; every second of
// them is an upload if the server that reads nothing is to take part.
func (m *memoryLab) stall(t *testing.T, ns *tuntest.Namespace, uploads bool, reason string) {
	t.Helper()
	for m.Drops[reason] == 0 {
		if len(m.stalled) > 4000 {
			t.Fatalf("%d stalled connections, and all have room: %+v", len(m.stalled), m.Memory)
		}
		for i := range 20 {
			address := m.sending
			if uploads && i%2 == 0 {
				address = m.silent
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			conn, err := ns.Dial(ctx, "tcp", address)
			cancel()
			if err != nil {
				break // its SYNs found no room
			}
			m.stalled = append(m.stalled, conn)
			if address == m.silent {
				m.filling.Go(func() { _, _ = io.Copy(conn, zeros{}) })
			}
		}
		m.ask(t)
	}
	reportf(t, "%d stalled connections: %+v", len(m.stalled), m.Memory)
}

// release closes the stalled connections, and waits until their memory is free.
func (m *memoryLab) release(t *testing.T) {
	t.Helper()
	m.endSilence() // the far ends close, too: else they are still to be sent what clients have sent
	for _, conn := range m.stalled {
		conn.Close()
	}
	m.filling.Wait()
	m.r.wait(t, "memory to be given back", func() bool { m.ask(t); return m.Memory.Reserved < memoryLimit/8 })
}

// move has a connection to the echoing server carry 4 MiB there and back.
func move(t *testing.T, conn net.Conn) {
	t.Helper()
	const size = 4 * megabyte
	go func() { _, _ = io.CopyN(conn, zeros{}, size) }()
	if n, err := io.CopyN(io.Discard, conn, size); err != nil {
		t.Errorf("%d bytes came back beside stalled connections: %v", n, err)
	}
}

// TestMemoryLimit has the host's own programs open downloads that they do not read until new
// connections have to wait. A connection that moves goes on meanwhile, another client opens new
// ones, and there is room again for what the others gave back.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	m := newNarrowMemoryLab(t)
	moving := dial(t, m.Router, m.echoing)
	m.stall(t, m.Router, false, "memory_per_source")
	move(t, moving)
	move(t, dial(t, m.Client, m.echoing))
	m.ask(t)
	if m.Memory.Limit != memoryLimit || m.Memory.Held > memoryLimit {
		t.Errorf("%d stalled connections hold %+v", len(m.stalled), m.Memory)
	}
	if report := m.Router.Run(binary, "status", "--at", viewAddress); !strings.Contains(report, "limit 16 MiB") {
		t.Errorf("status says\n%s", report)
	}
	m.release(t)
	echo(t, dial(t, m.Router, m.echoing))
}

// TestMemoryPerSource has one client of the LAN open downloads and uploads that are not read until
// it has to wait. It holds less than half of the memory then; other clients do not notice.
func TestMemoryPerSource(t *testing.T) {
	t.Parallel()
	m := newNarrowMemoryLab(t)
	m.stall(t, m.Client, true, "memory_per_source")
	for range 20 {
		conn := dialFrom(t, m.Client, "192.0.2.3", m.echoing)
		echo(t, conn)
		conn.Close()
	}
	move(t, dialFrom(t, m.Client, "192.0.2.3", m.echoing))
	move(t, dial(t, m.Router, m.echoing))
	m.ask(t)
	if m.Memory.Held > memoryLimit/2 || m.Drops["memory"] != 0 {
		t.Errorf("%d stalled connections of one client hold %+v, drops %v", len(m.stalled), m.Memory, m.Drops)
	}
	m.release(t)
	echo(t, dial(t, m.Client, m.echoing))
}

// TestStandStill has one client of the LAN open connections that carry all they can to ends that do
// not read, each as soon as the one before is full: downloads, uploads, and both in one. The first
// ones have buffers that the kernel sizes. All find room, none ends, and others do not notice. In a
// soak these are as many as one client may have, with the default memory.
func TestStandStill(t *testing.T) {
	t.Parallel()
	flows := scaled(256, 4096)
	m := newMemoryLab(t, scaled(32, 256)*megabyte)
	defer func() {
		m.endSilence()
		for _, conn := range m.stalled {
			conn.Close()
		}
		m.filling.Wait()
	}()
	data := make([]byte, 64<<10)
	for i := range flows {
		conn, err := connectFrom(m.Client, tuntest.ClientAddr4, []string{m.sending, m.sending, m.silent}[i%3])
		if err != nil {
			m.ask(t)
			t.Fatalf("beside %d connections that stand still: %v; %+v, drops %v", i, err, m.Memory, m.Drops)
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		m.stalled = append(m.stalled, conn)
		if i%3 == 0 {
			continue // a download alone
		}
		for err == nil {
			_ = conn.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
			_, err = conn.Write(data)
		}
		_ = conn.SetWriteDeadline(time.Time{})
		m.filling.Go(func() { _, _ = io.Copy(conn, zeros{}) })
	}
	for range 20 {
		conn := dialFrom(t, m.Client, "192.0.2.3", m.echoing)
		echo(t, conn)
		conn.Close()
	}
	move(t, dialFrom(t, m.Client, "192.0.2.3", m.echoing))
	move(t, dial(t, m.Router, m.echoing))
	m.ask(t)
	reportf(t, "%d connections stand still: %+v", flows, m.Memory)
	if m.Drops["memory_per_source"]+m.Drops["memory"] > 0 || m.Flows.TCP < flows {
		t.Errorf("of %d connections that stand still %d are left; %+v, drops %v", flows, m.Flows.TCP, m.Memory, m.Drops)
	}
}

// dialFrom connects from one of the addresses of a namespace.
func dialFrom(t *testing.T, ns *tuntest.Namespace, from, address string) net.Conn {
	t.Helper()
	conn, err := connectFrom(ns, from, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func connectFrom(ns *tuntest.Namespace, from, address string) (conn net.Conn, err error) {
	ctx, cancel := timeout()
	defer cancel()
	err = ns.Do(func() (err error) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err = dialer.DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}
