package e2e_test

import (
	"net"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestConnectionTableFlushed has the host forget all connections, as "conntrack -F" does: those of
// its programs and of machines behind it go on.
func TestConnectionTableFlushed(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Run("nft", "add table inet gateway; add chain inet gateway f { type filter hook forward priority 0; }; "+
		"add rule inet gateway f ct state established accept")
	for _, host := range addresses() {
		serveEcho(lab.Server, net.JoinHostPort(host, "7000"))
	}
	echo(t, dial(t, lab.Client, net.JoinHostPort(tuntest.ServerAddr4, "7000"))) // so that there is something to track
	config := strings.Replace(everything, "name: syntap0", `name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]`, 1)
	r := run(t, lab.Router, "syntap0", config)
	var open []net.Conn
	for _, host := range addresses() {
		for _, ns := range []*tuntest.Namespace{lab.Router, lab.Client} {
			open = append(open, dial(t, ns, net.JoinHostPort(host, "7000")))
		}
	}
	for range 3 {
		for _, conn := range open {
			echo(t, conn)
		}
		if err := lab.Router.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range open {
		echo(t, conn)
		conn.Close()
	}
	r.waitRecords(t, len(open))
	r.stop(t, unix.SIGTERM)
}
