package e2e_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestDeliveredElsewhere has a router that is taken over write packets into the TUN, to have the
// host forward them, or quote them in errors of ICMP: to clients they pass, as answers do, and
// nowhere else.
func TestDeliveredElsewhere(t *testing.T) {
	t.Parallel()
	requireTools(t, "nft")
	lab := tuntest.NewLab(t)
	server := lab.Server.ListenPacket("udp4", tuntest.ServerAddr4+":7001")
	client := lab.Client.ListenPacket("udp4", tuntest.ClientAddr4+":7001")
	r := run(t, lab.Router, "syntap0", sourcesOfLAN)
	lab.Router.Run("nft", "add table ip probe; "+
		"add chain ip probe out { type filter hook postrouting priority 500; }; "+
		"add rule ip probe out oifname wan0 icmp type destination-unreachable counter")
	pid := r.routerPID(t)
	tun := descriptorOf(t, pid, "/dev/net/tun")
	c := takeOver(t, pid)
	inject := func(from, to string) {
		t.Helper()
		d := tuntest.UDP{Src: netip.MustParseAddrPort(from), Dst: netip.MustParseAddrPort(to), Payload: []byte(from)}.Packet()
		frame := append(make([]byte, 10), d...) // behind a virtio-net header
		if _, errno := c.do(t, unix.SYS_WRITE, uint64(tun), c.write(t, 0, frame), uint64(len(frame))); errno != 0 {
			t.Fatalf("write to the TUN: %v", errno)
		}
	}
	for _, to := range []string{tuntest.RouterAddr4, "198.18.0.1"} { // no port of the host's
		inject(tuntest.ServerAddr4+":53", to+":9")
	}
	for _, from := range []string{tuntest.ClientAddr4, "198.18.0.1", "198.51.100.77", "203.0.113.77"} {
		inject(from+":53", tuntest.ServerAddr4+":7001")
	}
	inject("203.0.113.77:53", tuntest.ClientAddr4+":7001") // behind them
	c.release(t)
	buf := make([]byte, 100)
	_ = client.SetReadDeadline(time.Now().Add(tuntest.Patience))
	if n, _, err := client.ReadFrom(buf); err != nil || string(buf[:n]) != "203.0.113.77:53" {
		t.Errorf("the client has got %q, %v", buf[:n], err)
	}
	host, err := lab.Router.Dial(t.Context(), "udp4", tuntest.ServerAddr4+":7001")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := host.Write([]byte("on record")); err != nil {
		t.Fatal(err)
	}
	_ = server.SetReadDeadline(time.Now().Add(tuntest.Patience))
	if n, _, err := server.ReadFrom(buf); err != nil || string(buf[:n]) != "on record" {
		t.Errorf("the server has got %q first, %v", buf[:n], err)
	}
	if said := lab.Router.Run("nft", "list", "chain", "ip", "probe", "out"); !strings.Contains(said, "counter packets 0 ") {
		t.Errorf("errors of ICMP have left, with bytes of the router: %s", said)
	}
	r.stop(t, unix.SIGTERM)
}

// descriptorOf returns a descriptor of a process by its file.
func descriptorOf(t *testing.T, pid int, file string) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range fds {
		if name, _ := os.Readlink(dir + "/" + entry.Name()); strings.HasSuffix(name, file) {
			fd, _ := strconv.Atoi(entry.Name())
			return fd
		}
	}
	t.Fatalf("process %d has no %s", pid, file)
	return -1
}
