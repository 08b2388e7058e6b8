package e2e_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestPortUsedAgain has clients and the router share a few ports. Connection tracking still knows
// the datagrams of sockets that are closed: those of the router's for the clients' datagrams, which
// would pass by the TUN then, and those of clients for the router's, which would enter it.
func TestPortUsedAgain(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Sysctl("net.ipv4.ip_local_port_range", "40000 40015")
	far := listenDatagrams(t, lab.Server, net.JoinHostPort(tuntest.ServerAddr4, "7"))
	r := run(t, lab.Router, "syntap0", everything+"\negress: {udp_timeout: 1s}\n")
	for range 40 {
		client := listenDatagrams(t, lab.Router, "0.0.0.0:0")
		own := client.LocalAddr().(*net.UDPAddr).Port
		send(t, client, far.LocalAddr(), "question")
		seen := receive(t, far, "question").(*net.UDPAddr)
		if seen.Port == own {
			t.Errorf("the datagram of port %d has left past the TUN", own)
		}
		send(t, far, seen, "answer")
		receive(t, client, "answer")
		client.Close()
		time.Sleep(100 * time.Millisecond) // some of the router's sockets close
	}
	r.stop(t, unix.SIGTERM)
}
