package e2e_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The client's view when the destination does not answer with a connection.

func TestRefused(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for i, host := range addresses() {
		got := command(t, lab.Router, "nc", "-v", "-z", host, "81")
		if got.status != 1 || !strings.Contains(got.stderr, "Connection refused") {
			t.Errorf("nc to a closed port of %s: %+v, want exit status 1 and Connection refused", host, got)
		}
		record := r.waitRecords(t, i+1)[i]
		if record.Outcome != "refused" || record.Upstream.Error != "ECONNREFUSED" {
			t.Errorf("record of %s: %+v, want refused by ECONNREFUSED", host, record)
		}
		if n := record.Repeated; len(record.Lines) != 2+n || !strings.Contains(record.Lines[1+n], "Flags [R.]") {
			t.Errorf("record of %s has the lines %q, want a SYN, %d times again, and a RST", host, record.Lines, n)
		}
	}
	r.stop(t, unix.SIGTERM)
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc")
	lab := tuntest.NewLab(t)
	// The server, as a router on the way, says that there is no way on.
	lab.Server.Sysctl("net.ipv4.ip_forward", "1")
	lab.Server.Sysctl("net.ipv6.conf.all.forwarding", "1")
	hosts := []string{"203.0.113.66", "2001:db8:3::66"}
	for _, host := range hosts {
		lab.Server.Run("ip", "route", "add", "unreachable", host)
	}
	r := run(t, lab.Router, "syntap0", everything)
	for i, host := range hosts {
		checkUnreachable(t, lab.Router, r, host, i)
	}
	r.stop(t, unix.SIGTERM)
}

// TestUplinkDown takes the host's way out. Its programs learn that at once, as without a router,
// and the router does not dial into its own TUN.
func TestUplinkDown(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	if err := lab.Router.Netlink.LinkSetDown(lab.Router.Link("wan0")); err != nil {
		t.Fatal(err)
	}
	for _, host := range addresses() {
		got := command(t, lab.Router, "nc", "-v", "-z", host, "80")
		if got.status != 1 || !strings.Contains(got.stderr, "Network is unreachable") {
			t.Errorf("nc to %s: %+v, want exit status 1 and an unreachable network", host, got)
		}
	}
	r.stop(t, unix.SIGTERM)
	if n := len(r.records(t)); n != 0 {
		t.Errorf("%d records, want none: nothing had a way", n)
	}
}

// checkUnreachable checks that a client learns at once that host is unreachable, and that record i
// says so.
func checkUnreachable(t *testing.T, ns *tuntest.Namespace, r *router, host string, i int) {
	t.Helper()
	got := command(t, ns, "nc", "-v", "-z", host, "80")
	if got.status != 1 || !strings.Contains(got.stderr, "No route to host") && !strings.Contains(got.stderr, "Network is unreachable") {
		t.Errorf("nc to %s: %+v, want exit status 1 and an unreachable destination", host, got)
	}
	record := r.waitRecords(t, i+1)[i]
	if record.Outcome != "unreachable" || !slices.Contains([]string{"EHOSTUNREACH", "ENETUNREACH"}, record.Upstream.Error) {
		t.Errorf("record of %s: %+v, want unreachable by EHOSTUNREACH or ENETUNREACH", host, record)
	}
}

func TestNoReply(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	lab.Server.Drop(100, "input", "tcp dport 80")
	lab.Router.Sysctl("net.ipv4.tcp_syn_retries", "1") // the client gives up 3 s after its first SYN
	r := run(t, lab.Router, "syntap0", everything+"\negress: {dial_timeout: 1s}\n")
	for i, url := range urls() {
		if got := command(t, lab.Router, "curl", "-sS", url); got.status != 28 {
			t.Errorf("curl to a silent %s: %+v, want exit status 28, a timeout", url, got)
		}
		if record := r.waitRecords(t, i+1)[i]; record.Outcome != "no_reply" {
			t.Errorf("record of %s: %+v, want no_reply", url, record)
		}
	}
	r.stop(t, unix.SIGTERM)
	if n := len(r.records(t)); n != 2 {
		t.Errorf("%d records, want 2: a SYN sent again is the same attempt", n)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		for _, size := range []string{"56", "3000"} { // the second in fragments
			got := command(t, lab.Router, "ping", "-n", "-c", "3", "-i", "0.2", "-w", "30", "-s", size, host)
			if got.status != 0 || !strings.Contains(got.stdout, " 3 received") { // a late reply makes it send a fourth
				t.Errorf("ping of %s bytes to %s: %+v", size, host, got)
			}
		}
	}
	for _, host := range []string{"203.0.113.77", "2001:db8:3::77"} {
		if got := command(t, lab.Router, "ping", "-n", "-c", "1", "-W", "1", host); got.status != 1 {
			t.Errorf("ping to %s, which does not exist: %+v, want exit status 1", host, got)
		}
	}
	r.stop(t, unix.SIGTERM)
}

func TestDNS(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq")
	lab := tuntest.NewLab(t)
	dnsmasq := lab.Server.Start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv",
		"--user=root", "--group=", "--pid-file=", "--log-facility=-", "--bind-interfaces",
		"--listen-address="+strings.Join(addresses(), ","), "--address=/www.example.com/203.0.113.80")
	tuntest.Wait(t, "dnsmasq to start", func() bool { return strings.Contains(dnsmasq.Stderr(), "started") })
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		for _, transport := range []string{"+notcp", "+tcp"} {
			got := command(t, lab.Router, "dig", "+short", "+tries=1", "+timeout=30", transport, "@"+host, "www.example.com")
			if got.status != 0 || got.stdout != "203.0.113.80\n" {
				t.Errorf("dig %s @%s: %+v, want 203.0.113.80", transport, host, got)
			}
		}
		// A datagram to a closed port comes back as an ICMP error.
		got := command(t, lab.Router, "dig", "+tries=1", "+timeout=30", "-p", "54", "@"+host, "www.example.com")
		if got.status != 9 || !strings.Contains(got.stdout, "connection refused") {
			t.Errorf("dig to a closed port of %s: %+v, want exit status 9 and connection refused", host, got)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestDatagrams sends datagrams of all sizes, fragmented ones too, to a server that sends them
// back.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		server := lab.Server.ListenPacket("udp", net.JoinHostPort(host, "7000"))
		go echoDatagrams(server)
		client, err := lab.Router.Dial(t.Context(), "udp", server.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		for _, size := range []int{0, 1, 1400, 1472, 1473, 9000, 40000} {
			sent := strings.Repeat(fmt.Sprint(size%10), size)
			if _, err := fmt.Fprint(client, sent); err != nil {
				t.Fatal(err)
			}
			if err := client.SetReadDeadline(time.Now().Add(tuntest.Patience)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 1<<16)
			if n, err := client.Read(got); err != nil || string(got[:n]) != sent {
				t.Errorf("%s: datagram of %d bytes came back with %d, %v", host, size, n, err)
			}
		}
	}
	r.stop(t, unix.SIGTERM)
}

// echoDatagrams sends datagrams back until the socket is closed.
func echoDatagrams(conn net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if _, err := conn.WriteTo(buf[:n], from); err != nil {
			return
		}
	}
}
