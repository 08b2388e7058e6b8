package e2e_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestAnswersToGroups has a machine of the LAN ask groups and a broadcast, as SSDP and mDNS do. The
// host's answers come from the port that was asked: a client takes no others (RFC 6762 §6).
func TestAnswersToGroups(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	defer r.stop(t, unix.SIGTERM)
	for _, to := range []string{"239.255.255.250:1900", "224.0.0.251:5353", "192.0.2.255:9999", "[ff05::c]:1900"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			asked := netip.MustParseAddrPort(to)
			serveGroup(t, lab.Router, asked)
			network, from := "udp4", tuntest.ClientAddr4
			if asked.Addr().Is6() {
				network, from = "udp6", tuntest.ClientAddr6
			}
			client := lab.Client.ListenPacket(network, net.JoinHostPort(from, "0"))
			b := make([]byte, 100)
			tuntest.Wait(t, "an answer", func() bool {
				_, _ = client.WriteTo([]byte("who?"), net.UDPAddrFromAddrPort(asked))
				_ = client.SetReadDeadline(time.Now().Add(time.Second))
				_, by, err := client.ReadFrom(b)
				if err == nil && by.(*net.UDPAddr).AddrPort().Port() != asked.Port() {
					t.Errorf("an answer from %v, want one from port %d", by, asked.Port())
				}
				return err == nil
			})
		})
	}
}

// serveGroup answers all datagrams to a group, or to a broadcast, that come from the LAN.
func serveGroup(t *testing.T, ns *tuntest.Namespace, at netip.AddrPort) {
	t.Helper()
	link, err := ns.Netlink.LinkByName("lan0")
	if err != nil {
		t.Fatal(err)
	}
	var conn *net.UDPConn
	if err := ns.Do(func() (err error) {
		group := net.UDPAddrFromAddrPort(at)
		if !at.Addr().IsMulticast() {
			conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: group.Port})
			return err
		}
		lan := &net.Interface{Index: link.Attrs().Index, Name: "lan0"}
		conn, err = net.ListenMulticastUDP("udp", lan, group)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			_, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte("me"), from)
		}
	}()
}
