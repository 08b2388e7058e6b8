package e2e_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// newClientHole makes a lab whose router is a gateway for a client behind a link of 1300 bytes, of
// which no packet tells on the way there (up), back, or both.
//
//	far ──1500── second ──1300── Client ──1500── Router (syntap) ── Server
func newClientHole(t *testing.T, up, down bool) (lab *tuntest.Lab, far *tuntest.Namespace) {
	t.Helper()
	lab = tuntest.NewLab(t)
	far, second := behindNarrowLink(t, lab)
	if up {
		silence(lab.Client)
	}
	if down {
		silence(second)
	}
	far.Sysctl("net.ipv4.tcp_mtu_probing", "0")
	return lab, far
}

// silence has a router send no word of packets that are too long.
func silence(ns *tuntest.Namespace) {
	ns.Drop(100, "output", "icmp type destination-unreachable")
	ns.Drop(100, "output", "icmpv6 type packet-too-big")
}

// checkClientLeg looks for one finding, of the way between the router and a client.
func checkClientLeg(t *testing.T, r *router, want found) {
	t.Helper()
	all := r.findings(t)
	if len(all) == 0 {
		t.Error("no finding")
		return
	}
	got := all[0]
	want.Msg, want.Kind, want.Leg, want.Flows, want.Stalls = "finding", "black_hole", "client", got.Flows, got.Stalls
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || len(all) > 1 || got.Flows < 1 || len(got.Stalls) < 1 {
		t.Errorf("findings %+v, want %+v", all, want)
	}
}

// TestClientHoleDownload has downloads hang on the way to a client. The connection that hangs is
// freed, and the next keeps to the size.
func TestClientHoleDownload(t *testing.T) {
	t.Parallel()
	requireTools(t, "nft")
	for i, behind := range []string{behindAddr4, behindAddr6} {
		t.Run(behind, func(t *testing.T) {
			t.Parallel()
			lab, far := newClientHole(t, true, false)
			r := run(t, lab.Router, "syntap0", strings.Replace(gatewayOf, "tap: {", "tap: {findings: apply, ", 1))
			server := net.JoinHostPort(addresses()[i], "8000")
			serveBytes(lab.Server, server, 1<<20)
			for range 2 {
				if n, err := download(t, far, server); n != 1<<20 || err != nil {
					t.Errorf("got %d bytes of %d: %v", n, 1<<20, err)
				}
			}
			header := 40 + 20*i
			r.stop(t, unix.SIGTERM)
			all := r.records(t)
			if mss := mssOf(all[len(all)-1]); mss != 1300-header {
				t.Errorf("the next connection has the MSS %d, want %d", mss, 1300-header)
			}
			checkClientLeg(t, r, found{
				Dst: behind, Direction: "up", Confidence: "high", Passes: 1300, Fails: 1301, Clamp: 1300 - header, Applied: true,
			})
		})
	}
}

// TestClientHoleUpload has two uploads hang on the way from a client, each of a full segment and a
// short one, as a ClientHello with keys of ML-KEM is, or of full segments alone. They are freed,
// and the next runs.
func TestClientHoleUpload(t *testing.T) {
	t.Parallel()
	requireTools(t, "nft")
	for i, behind := range []string{behindAddr4, behindAddr6} {
		for _, size := range []int{2000, 200_000} {
			t.Run(fmt.Sprint(behind, " ", size), func(t *testing.T) {
				t.Parallel()
				hangUpload(t, i, behind, size)
			})
		}
	}
}

// hangUpload hangs uploads of a size on the way from a client that is at an address; i is 0 for
// IPv4.
func hangUpload(t *testing.T, i int, behind string, size int) {
	t.Helper()
	lab, far := newClientHole(t, false, true)
	r := run(t, lab.Router, "syntap0", strings.Replace(gatewayOf, "tap: {", "tap: {findings: apply, ", 1))
	server := net.JoinHostPort(addresses()[i], "8000")
	go serveAll(lab.Server.Listen("tcp", server), func(conn *net.TCPConn) {
		n, _ := io.Copy(io.Discard, conn)
		fmt.Fprint(conn, n)
	})
	check := func() {
		if got, err := upload(t, far, server, size); got != fmt.Sprint(size) {
			t.Errorf("the server has got %q of %d bytes: %v", got, size, err)
		}
	}
	var uploads sync.WaitGroup
	for range 2 {
		uploads.Go(check)
	}
	uploads.Wait()
	check()
	r.stop(t, unix.SIGTERM)
	checkClientLeg(t, r, found{
		Dst: behind, Direction: "down", Confidence: "medium", Clamp: []int{1240, 1220}[i], Applied: true,
	})
}

// upload sends n bytes and returns the answer.
func upload(t *testing.T, ns *tuntest.Namespace, address string, n int) (answer string, err error) {
	t.Helper()
	conn, err := ns.Dial(t.Context(), "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
	if _, err = conn.Write(make([]byte, n)); err != nil {
		return "", err
	}
	if err = conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	return string(b), err
}
