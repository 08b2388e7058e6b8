package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// session is a connection from beyond the uplink to a server of the host, such as an ssh session of
// its operator.
type session struct {
	name string
	conn net.Conn
	r    *bufio.Reader
}

// login opens a session with the host's server on an address, which sends lines back.
func login(t *testing.T, lab *tuntest.Lab, name, address string) *session {
	t.Helper()
	ctx, cancel := timeout()
	defer cancel()
	conn, err := lab.Server.Dial(ctx, "tcp", address)
	if err != nil {
		t.Fatalf("session %s: %v", name, err)
	}
	t.Cleanup(func() { conn.Close() })
	return &session{name: name, conn: conn, r: bufio.NewReader(conn)}
}

// check sends a line through the session and wants it back.
func (s *session) check(t *testing.T, when string) {
	t.Helper()
	if err := s.conn.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(s.conn, when); err != nil {
		t.Errorf("session %s %s: %v", s.name, when, err)
		return
	}
	if got, err := s.r.ReadString('\n'); err != nil || got != when+"\n" {
		t.Errorf("session %s %s: read %q, %v", s.name, when, got, err)
	}
}

// TestKeepInbound is logged into the host from beyond its uplink while a router takes all traffic,
// dies, is taken over and stops. Strict reverse-path filters must not matter.
func TestKeepInbound(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	for _, key := range []string{"all", "default", "wan0", "lan0"} {
		lab.Router.Sysctl("net.ipv4.conf."+key+".rp_filter", "1")
	}
	serveEcho(lab.Router, "[::]:22")
	servers := []string{net.JoinHostPort(tuntest.RouterAddr4, "22"), net.JoinHostPort(tuntest.RouterAddr6, "22")}

	var sessions []*session
	check := func(when string) {
		t.Helper()
		for _, address := range servers {
			sessions = append(sessions, login(t, lab, fmt.Sprintf("of %s made %s", address, when), address))
			host, _, _ := net.SplitHostPort(address)
			lab.Server.Run("ping", "-n", "-c1", "-w20", host)
		}
		for _, s := range sessions {
			s.check(t, when)
		}
	}
	check("before run")
	// So must a connection of the host that was open before.
	serveEcho(lab.Server, ":7000")
	for _, host := range addresses() {
		conn, err := lab.Router.Dial(t.Context(), "tcp", net.JoinHostPort(host, "7000"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		sessions = append(sessions, &session{name: "of the host with " + host, conn: conn, r: bufio.NewReader(conn)})
	}

	killed := run(t, lab.Router, "syntap0", everything)
	check("during run")
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	if n := len(killed.waitRecords(t, 2)); n != 2 {
		t.Errorf("%d records, want those of the two connections that the host has opened", n)
	}

	if err := killed.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed.ended(t, "SIGKILL")
	check("after SIGKILL")
	r := run(t, lab.Router, "syntap0", everything)
	check("after the next run has begun")
	r.stop(t, unix.SIGTERM)
	check("after the end")
	if n := len(r.records(t)); n != 0 {
		t.Errorf("%d records of connections that others have opened", n)
	}
}

// TestKeepInboundDatagrams has a server of the host answer datagrams from beyond the uplink by the
// address they came to, as a DNS server does.
func TestKeepInboundDatagrams(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq")
	lab := tuntest.NewLab(t)
	dnsmasq := lab.Router.Start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root", "--group=root",
		"--pid-file=", "--log-facility=-", "--address=/www.example.com/203.0.113.80")
	tuntest.Wait(t, "dnsmasq to start", func() bool { return strings.Contains(dnsmasq.Stderr(), "started") })
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range []string{tuntest.RouterAddr4, tuntest.RouterAddr6} {
		got := command(t, lab.Server, "dig", "+short", "+tries=1", "+timeout=30", "@"+host, "www.example.com")
		if got.status != 0 || got.stdout != "203.0.113.80\n" {
			t.Errorf("dig @%s: %+v, want 203.0.113.80", host, got)
		}
	}
	r.stop(t, unix.SIGTERM)
}
