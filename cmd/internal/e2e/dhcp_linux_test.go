package e2e_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestDHCPServer has the host offer an address to a machine of its LAN as dnsmasq does: from the
// server's port to the client's, by a socket that is bound to the interface, or is not. A request
// was a broadcast, so connection tracking sees no reply.
func TestDHCPServer(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	r := run(t, h.Router, "syntap0", everything)
	defer r.stop(t, unix.SIGTERM)
	for _, family := range []struct{ network, client, server string }{
		{"udp4", tuntest.ClientAddr4 + ":68", ":67"},
		{"udp6", "[" + tuntest.ClientAddr6 + "]:546", ":547"},
	} {
		client := h.Client.ListenPacket(family.network, family.client)
		for _, device := range []string{"", "lan0"} {
			config := net.ListenConfig{Control: call{device: device}.control}
			var server net.PacketConn
			err := h.Router.Do(func() (err error) {
				server, err = config.ListenPacket(context.Background(), family.network, family.server)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := server.WriteTo([]byte("offer "+device), client.LocalAddr()); err != nil {
				t.Errorf("%s, bound to %q: %v", family.client, device, err)
			}
			_ = client.SetReadDeadline(time.Now().Add(tuntest.Patience))
			b := make([]byte, 100)
			if n, from, err := client.ReadFrom(b); err != nil || from.(*net.UDPAddr).Port >= 1024 || string(b[:n]) != "offer "+device {
				t.Errorf("%s, server bound to %q: client gets %q from %v, %v", family.client, device, b[:n], from, err)
			}
			server.Close()
		}
	}
}

// TestDHCPClient has the host renew its address as a client does, and ask as a relay, by a socket
// that is bound to the uplink. A program without those ports reaches no server's port that way.
func TestDHCPClient(t *testing.T) {
	t.Parallel()
	h := newHostLab(t)
	servers := make(map[string]net.PacketConn)
	for _, address := range []string{
		net.JoinHostPort(tuntest.ServerAddr4, "67"), net.JoinHostPort(tuntest.ServerAddr6, "547"),
	} {
		servers[address] = h.Server.ListenPacket("udp", address)
	}
	r := run(t, h.Router, "syntap0", everything)
	defer r.stop(t, unix.SIGTERM)
	config := net.ListenConfig{Control: call{device: "wan0"}.control}
	for address, server := range servers {
		for _, from := range []string{":0", pick(strings.HasSuffix(address, "]:547"), ":68", ":546"), address[strings.LastIndex(address, ":"):]} {
			var client net.PacketConn
			err := h.Router.Do(func() (err error) {
				client, err = config.ListenPacket(context.Background(), "udp", from)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.WriteTo([]byte(from), server.LocalAddr())
			client.Close()
			if from == ":0" {
				if !errors.Is(err, unix.EPERM) {
					t.Errorf("to %s from a port that is no client's: %v, want EPERM", address, err)
				}
				continue
			}
			b := make([]byte, 100)
			_ = server.SetReadDeadline(time.Now().Add(tuntest.Patience))
			if n, _, err := server.ReadFrom(b); err != nil || string(b[:n]) != from {
				t.Errorf("to %s from %s: the server gets %q, %v", address, from, b[:n], err)
			}
		}
	}
}
