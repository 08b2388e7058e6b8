package e2e_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"syntap/tun/tuntest"
)

// TestUpstreamInTunnel has the router's own connections and flows leave by a VXLAN: the kernel's
// datagrams around them belong to the router's socket, too, and are no flows of the router's.
func TestUpstreamInTunnel(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	for _, end := range []struct {
		ns                *tuntest.Namespace
		remote, addr, wan string
	}{
		{lab.Router, tuntest.ServerAddr4, "192.0.2.129/30", "wan0"},
		{lab.Server, tuntest.RouterAddr4, "192.0.2.130/30", "eth0"},
	} {
		if got := command(t, end.ns, "ip", "link", "add", "vx0", "type", "vxlan", "id", "9", "remote", end.remote, "dstport", "4789", "dev", end.wan); got.status != 0 {
			t.Skip("needs the kernel's VXLAN")
		}
		end.ns.Run("ip", "link", "set", "vx0", "up")
		end.ns.AddAddress("vx0", end.addr)
	}
	serveEcho(lab.Server, "192.0.2.130:7000")
	r := run(t, lab.Router, "syntap0", everything)
	for range 3 {
		conn := dial(t, lab.Router, "192.0.2.130:7000")
		echo(t, conn)
		conn.Close()
	}
	lab.Router.Run("ping", "-c", "3", "-i", "0.2", "192.0.2.130")
	r.stop(t, unix.SIGTERM)
}

// TestFewPorts has few ports for the router's own connections, so that each has the ends of one
// that has just gone: the server ends them first, and no port waits (TIME-WAIT).
func TestFewPorts(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7001")
	go serveAll(lab.Server.Listen("tcp", address), func(c *net.TCPConn) {
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			_, _ = c.Write([]byte("x"))
		}
	})
	lab.Router.Sysctl("net.ipv4.ip_local_port_range", "40000 40031")
	r := run(t, lab.Router, "syntap0", sourcesOfLAN)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range scaled(300, 10_000) {
				if err := echoOneByte(lab.Client, address); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	r.stop(t, unix.SIGTERM)
}

// TestMeasuredWhileBusy has the router measure the path of a stalled connection, by connections of
// its own, while clients connect to the same server: which is whose the keeper cannot tell.
func TestMeasuredWhileBusy(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := newHole(t)
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, make([]byte, transferSize), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, lab.Client, "syntap0", everything)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pace := rate.NewLimiter(200, 1)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for pace.Wait(ctx) == nil {
				if c, err := lab.Client.Dial(ctx, "tcp", net.JoinHostPort(tuntest.ServerAddr4, "80")); err == nil {
					c.Close()
				}
			}
		})
	}
	lab.Client.Start("curl", "-sS", "-o", os.DevNull, "-T", upload, urls()[0]+"/")
	r.wait(t, "the finding", func() bool { return strings.Contains(r.Stderr(), "path MTU black hole") })
	stop()
	clients.Wait()
	r.stop(t, unix.SIGTERM)
}

// TestMovedSource has the kernel send SYNs again from another address of the host, as
// net.ipv4.ip_dynaddr has it for dial-up links. They cannot be told from others, and prove nothing.
func TestMovedSource(t *testing.T) {
	t.Parallel()
	requireTools(t, "ss")
	lab := tuntest.NewLab(t)
	lab.Server.Run("ip", "route", "add", "blackhole", "203.0.113.0/25")
	serveEcho(lab.Server, ":7000")
	r := run(t, lab.Router, "syntap0", sourcesOfLAN)
	lab.Router.Sysctl("net.ipv4.ip_dynaddr", "1")
	ctx, stop := context.WithCancel(t.Context())
	var client sync.WaitGroup
	client.Go(func() {
		if c, err := lab.Client.Dial(ctx, "tcp", "203.0.113.50:7000"); err == nil {
			c.Close()
			t.Error("a server that is not there")
		}
	})
	r.wait(t, "the router's SYN", func() bool {
		return strings.Contains(output(lab.Router, "ss", "-tn", "state", "syn-sent"), "203.0.113.50:7000")
	})
	lab.Router.Run("ip", "address", "del", tuntest.RouterAddr4+"/24", "dev", "wan0")
	lab.Router.Run("ip", "address", "add", "198.51.100.77/24", "dev", "wan0")
	lab.Router.Run("ip", "route", "add", "default", "via", "198.51.100.2")
	r.wait(t, "a word about it", func() bool { return strings.Contains(r.Stderr(), "not compared with records any more") })
	stop()
	client.Wait()
	echo(t, dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr6, "7000")))
	r.stop(t, unix.SIGTERM)
}
