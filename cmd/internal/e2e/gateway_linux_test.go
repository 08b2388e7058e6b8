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

// TestStrangersAreDropped has a machine send through the TUN that tun.sources does not name.
func TestStrangersAreDropped(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything)
	if got := command(t, lab.Client, "curl", "-sS", "--connect-timeout", "1", urls()[0]); got.status != 28 {
		t.Errorf("curl from a machine that is no source: %+v, want exit status 28, a timeout", got)
	}
	r.wait(t, "the stranger's address to be said", func() bool {
		return strings.Contains(r.Stderr(), "tun.sources does not name the client") && strings.Contains(r.Stderr(), "source="+tuntest.ClientAddr4)
	})
	for _, host := range addresses() {
		server := lab.Server.ListenPacket("udp", net.JoinHostPort(host, "7000"))
		for _, from := range []*tuntest.Namespace{lab.Client, lab.Router} { // the stranger first
			conn, err := from.Dial(t.Context(), "udp", server.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, map[bool]string{true: "stranger", false: "host"}[from == lab.Client])
		}
		b := make([]byte, 100)
		_ = server.SetReadDeadline(time.Now().Add(tuntest.Patience))
		if n, _, err := server.ReadFrom(b); err != nil || string(b[:n]) != "host" {
			t.Errorf("%s has received %q, %v, want the datagram of the host alone", host, b[:n], err)
		}
		if got := command(t, lab.Client, "ping", "-n", "-c1", "-W1", host); got.status != 1 {
			t.Errorf("ping from a machine that is no source: %+v, want exit status 1, no answer", got)
		}
	}
	lab.Router.Run("curl", "-sS", urls()[0])
	for _, record := range r.waitRecords(t, 1) {
		if record.Src == tuntest.ClientAddr4 {
			t.Errorf("a connection of a machine that is no source was recorded: %+v", record)
		}
	}
	r.stop(t, unix.SIGTERM)
}
