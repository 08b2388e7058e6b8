package e2e_test

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestKernelTunnel has the server call a server of the host through a VXLAN over the uplink: the
// kernel sends the answers in datagrams that belong to the socket within.
func TestKernelTunnel(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	for _, end := range []struct {
		ns                      *tuntest.Namespace
		link, remote, addr, wan string
	}{
		{lab.Router, "vx0", tuntest.ServerAddr4, "192.0.2.129/30", "wan0"},
		{lab.Server, "vx0", tuntest.RouterAddr4, "192.0.2.130/30", "eth0"},
	} {
		if got := command(t, end.ns, "ip", "link", "add", end.link, "type", "vxlan", "id", "9", "remote", end.remote, "dstport", "4789", "dev", end.wan); got.status != 0 {
			t.Skip("needs the kernel's VXLAN")
		}
		end.ns.Run("ip", "link", "set", end.link, "up")
		end.ns.AddAddress(end.link, end.addr)
	}
	const address = "192.0.2.129:7000"
	serveEcho(lab.Router, address)
	r := run(t, lab.Router, "syntap0", everything)
	conn := dial(t, lab.Server, address)
	echo(t, conn)
	conn.Close()
	client := dial(t, lab.Router, net.JoinHostPort("192.0.2.129", "7000")) // the host's own are as they were
	echo(t, client)
	client.Close()
	r.stop(t, unix.SIGTERM)
}
