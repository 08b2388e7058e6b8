package e2e_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// TestMemoryLimit opens downloads that the client does not read until new connections have to wait:
// they hold as much as they may, together. A connection that moves goes on meanwhile, and the
// memory of closed ones has room for new ones.
func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	const limit = 16 * megabyte
	lab := tuntest.NewLab(t)
	lab.Router.Sysctl("net.ipv4.tcp_rmem", "4096 32768 65536") // of the client: bytes that it takes have moved, and are no stall
	sending := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7001"))
	go serveAll(sending, func(conn *net.TCPConn) { _, _ = io.Copy(conn, zeros{}) })
	echoing := lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7002"))
	go serveAll(echoing, func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	r := run(t, lab.Router, "syntap0", viewed+"limits: {memory: 16MiB}\n")
	var status struct {
		Memory struct{ Held, Reserved, Limit int }
		Drops  map[string]int
	}
	ask := func() {
		text := lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/api/status")
		if err := json.Unmarshal([]byte(text), &status); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	moving := dial(t, lab.Router, echoing.Addr().String())
	move := func() {
		t.Helper()
		const size = 4 * megabyte
		go func() { _, _ = io.CopyN(moving, zeros{}, size) }()
		if n, err := io.CopyN(io.Discard, moving, size); err != nil {
			t.Fatalf("%d bytes came back beside stalled connections: %v", n, err)
		}
	}

	var stalled []net.Conn
	for status.Drops["memory"] == 0 {
		if len(stalled) > 2000 {
			t.Fatalf("%d stalled connections, and all have room: %+v", len(stalled), status)
		}
		for range 20 {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			conn, err := lab.Router.Dial(ctx, "tcp", sending.Addr().String())
			cancel()
			if err != nil {
				break // its SYNs found no room
			}
			stalled = append(stalled, conn)
		}
		ask()
	}
	move()
	ask()
	reportf(t, "%d stalled connections: %+v", len(stalled), status.Memory)
	if status.Memory.Limit != limit || status.Memory.Held > limit*5/4 {
		t.Errorf("%d stalled connections hold %+v", len(stalled), status.Memory)
	}
	if report := lab.Router.Run(binary, "status", "--at", viewAddress); !strings.Contains(report, "limit 16 MiB") {
		t.Errorf("status says\n%s", report)
	}
	for _, conn := range stalled {
		conn.Close()
	}
	r.wait(t, "memory to be given back", func() bool { ask(); return status.Memory.Reserved < limit/4 })
	echo(t, dial(t, lab.Router, echoing.Addr().String()))
}
