package e2e_test

import (
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The far side's view of a client's socket: its port, where the client has chosen one, and how
// its packets are marked.

// TestSourcePort has clients connect from ports of their choice.
func TestSourcePort(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	run(t, lab.Router, "syntap0", `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	for _, host := range addresses() {
		for _, port := range []string{"7000", "7001"} {
			go serveAll(lab.Server.Listen("tcp", net.JoinHostPort(host, port)), func(conn *net.TCPConn) {
				fmt.Fprintln(conn, conn.RemoteAddr().(*net.TCPAddr).Port)
				_, _ = conn.Read(make([]byte, 1))
			})
		}
		for _, port := range []int{22, 700, 7000} {
			for _, to := range []string{"7000", "7001"} {
				if got := seenPort(t, lab.Client, port, net.JoinHostPort(host, to)); got != port {
					t.Errorf("%s port %s sees a client on port %d as %d", host, to, port, got)
				}
			}
		}
		// A client on the host has the very address and port itself.
		if got := seenPort(t, lab.Router, 701, net.JoinHostPort(host, "7000")); got < 512 || got > 1023 || got == 701 {
			t.Errorf("%s sees a client of the host on port 701 as %d, want another port that only root may use", host, got)
		}
	}
}

// seenPort connects from a port and returns the one that the server says it sees. The connection
// lasts as long as the test.
func seenPort(t *testing.T, ns *tuntest.Namespace, port int, server string) int {
	t.Helper()
	var conn net.Conn
	err := ns.Do(func() (err error) {
		dialer := net.Dialer{Timeout: tuntest.Patience, LocalAddr: &net.TCPAddr{Port: port}, Control: reuseAddress}
		conn, err = dialer.Dial("tcp", server)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var seen int
	if _, err := fmt.Fscanln(conn, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// TestSimultaneousOpen has two programs connect to each other at once, as those behind NATs do that
// punch holes. The answer to a SYN that comes too early is dropped, as NATs do.
func TestSimultaneousOpen(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	run(t, lab.Router, "syntap0", everything)
	lab.Router.Drop(100, "postrouting", `oifname "wan0" tcp flags & rst == rst`)
	lab.Server.Drop(100, "output", `tcp flags & rst == rst`)
	for i, host := range addresses() {
		ends := make(chan error, 2)
		router := []string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i]
		go func() { ends <- openTo(lab.Server, host, 7001, net.JoinHostPort(router, "7000")) }()
		go func() { ends <- openTo(lab.Router, "", 7000, net.JoinHostPort(host, "7001")) }()
		for range 2 {
			if err := <-ends; err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
}

// openTo connects from a port, of a host's address or any, and exchanges a byte. The kernel sends
// its SYN again until the other end has sent its own.
func openTo(ns *tuntest.Namespace, host string, port int, address string) error {
	return ns.Do(func() error {
		from := &net.TCPAddr{IP: net.ParseIP(host), Port: port}
		dialer := net.Dialer{Timeout: tuntest.Patience, LocalAddr: from, Control: reuseAddress}
		conn, err := dialer.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err
	})
}

// TestDSCP looks at the marks of a client's packets behind the router: they change with the
// client's.
func TestDSCP(t *testing.T) {
	t.Parallel()
	requireTools(t, "nft")
	lab := tuntest.NewLab(t)
	run(t, lab.Router, "syntap0", everything)
	lab.Server.Run("nft", `
		add table inet marks
		add chain inet marks input { type filter hook input priority 0; }`)
	for _, host := range addresses() {
		address := net.JoinHostPort(host, "7000")
		serveEcho(lab.Server, address)
		ip := map[bool]string{false: "ip", true: "ip6"}[strings.Contains(host, ":")]
		marked := func(dscp string) func() bool {
			counted := regexp.MustCompile(ip + " dscp " + dscp + " counter packets [1-9]")
			return func() bool {
				return counted.MatchString(lab.Server.Run("nft", "list", "chain", "inet", "marks", "input"))
			}
		}
		for _, rule := range []string{"tcp flags & (syn | ack) == syn " + ip + " dscp af21", ip + " dscp cs1", "tcp flags & psh == psh " + ip + " dscp cs0"} {
			lab.Server.Run("nft", "add rule inet marks input tcp dport 7000 "+rule+" counter")
		}
		var conn net.Conn
		err := lab.Router.Do(func() (err error) {
			dialer := net.Dialer{Timeout: tuntest.Patience, Control: func(_, _ string, raw syscall.RawConn) error { return mark(raw, ip, 18<<2) }}
			conn, err = dialer.Dial("tcp", address)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		tuntest.Wait(t, host+": a SYN with af21", marked("af21"))
		for _, dscp := range []int{8, 0} {
			raw, _ := conn.(*net.TCPConn).SyscallConn()
			if err := mark(raw, ip, dscp<<2); err != nil {
				t.Fatal(err)
			}
			echo(t, conn)
			tuntest.Wait(t, host+": segments with cs"+strconv.Itoa(dscp/8), marked("cs"+strconv.Itoa(dscp/8)))
		}
	}
}

func mark(raw syscall.RawConn, family string, tos int) (err error) {
	level, name := unix.IPPROTO_IP, unix.IP_TOS
	if family == "ip6" {
		level, name = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, name, tos) })
	if err == nil {
		err = controlErr
	}
	return err
}
