package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestLinkIsTheHosts has the host call the machines on its links: neighbours by their IPv6
// link-local addresses, groups and broadcasts, as mDNS, SSDP, Wake-on-LAN and NetBIOS do. No router
// is meant to carry that.
func TestLinkIsTheHosts(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	zone := fmt.Sprint(h.Router.Link("lan0").Attrs().Index)
	neighbour := linkLocal(t, h.Client, "eth0") + "%" + zone
	r := run(t, h.Router, "syntap0", sourcesOfLAN)
	defer r.stop(t, unix.SIGTERM)
	for _, proto := range []string{"tcp", "udp"} {
		for _, device := range []string{"", "lan0"} {
			a := call{ns: h.Router, proto: proto, to: neighbour, device: device}.make()
			if !strings.HasPrefix(a.says, "LAN sees fe80::") {
				t.Errorf("%s to a neighbour's link-local address, bound to %q: %s", proto, device, a.says)
			}
		}
	}
	h.Router.Run("ping", "-n", "-c1", "-w20", strings.TrimSuffix(neighbour, zone)+"lan0")
	for to, want := range map[string]string{"192.0.2.255": "LAN", "203.0.113.191": "container", "ff02::1%" + zone: "LAN"} {
		h.shout(t, to, want)
	}
}

// shout sends a datagram from the host to all of a link, of whom one has to answer.
func (h *hostLab) shout(t *testing.T, to, want string) {
	t.Helper()
	network := "udp4"
	if strings.Contains(to, ":") {
		network = "udp6"
	}
	address, err := net.ResolveUDPAddr(network, net.JoinHostPort(to, witnessPort))
	if err != nil {
		t.Fatal(err)
	}
	c := h.Router.ListenPacket(network, ":0")
	_ = c.SetDeadline(time.Now().Add(tuntest.Patience))
	if _, err := c.WriteTo([]byte("anyone?"), address); err != nil {
		t.Errorf("a datagram to %s: %v", to, err)
		return
	}
	b := make([]byte, 100)
	for said := ""; !strings.HasPrefix(said, want+" sees "); {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			t.Errorf("%s does not answer a datagram to %s: %v", want, to, err)
			return
		}
		said = string(b[:n])
	}
}

// linkLocal returns the IPv6 link-local address of an interface.
func linkLocal(t *testing.T, ns *tuntest.Namespace, device string) string {
	for word := range strings.FieldsSeq(ns.Run("ip", "-6", "-o", "address", "show", "dev", device, "scope", "link")) {
		if address, _, found := strings.Cut(word, "/"); found && strings.HasPrefix(address, "fe80::") {
			return address
		}
	}
	t.Fatalf("%s has no link-local address", device)
	return ""
}
