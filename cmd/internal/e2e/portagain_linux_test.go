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
	for i := range 40 {
		if i%10 == 0 { // the ports that the router had are free for clients, and those of clients for it
			r.wait(t, "the router's sockets to be closed", func() bool { return lab.Router.Run("ss", "-Huna") == "" })
		}
		_ = far.SetDeadline(time.Now().Add(tuntest.Patience))
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
	}
	r.stop(t, unix.SIGTERM)
}

// TestPortOfOtherUser has a user whose traffic stays outside send a datagram, and then another user
// one from the same port to the same destination.
func TestPortOfOtherUser(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc", "setpriv")
	lab := tuntest.NewLab(t)
	far := listenDatagrams(t, lab.Server, net.JoinHostPort(tuntest.ServerAddr4, "7"))
	r := run(t, lab.Router, "syntap0", "tun: {name: syntap0}\nroute: {exclude_uids: [65534]}\n"+
		"tap: {log: [{format: json, path: DIR/handshakes.json}]}\n")
	answered := make(chan *net.UDPAddr, 1)
	go func() {
		b := make([]byte, 100)
		_ = far.SetReadDeadline(time.Now().Add(tuntest.Patience))
		n, from, err := far.ReadFromUDP(b)
		if err == nil {
			_, err = far.WriteTo(b[:n], from)
		}
		if err != nil {
			t.Error(err)
		}
		answered <- from
	}()
	command(t, lab.Router, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
		"sh", "-c", "echo question | nc -u -W 1 -w 30 -p 4000 "+tuntest.ServerAddr4+" 7")
	if seen := <-answered; seen.Port != 4000 {
		t.Errorf("the datagram of an excluded user came from port %d", seen.Port)
	}
	client := listenDatagrams(t, lab.Router, "0.0.0.0:4000")
	send(t, client, far.LocalAddr(), "question")
	if seen := receive(t, far, "question").(*net.UDPAddr); seen.Port == 4000 {
		t.Error("the datagram of another user has left past the TUN")
	}
	r.stop(t, unix.SIGTERM)
}
