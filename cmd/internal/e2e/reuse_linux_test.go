package e2e_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestTupleReuse opens the same 4-tuple again and again, right after the connection before it has
// been reset by the client or closed by the server.
func TestTupleReuse(t *testing.T) {
	t.Parallel()
	rounds := scaled(250, 500)
	for _, reset := range []bool{true, false} {
		t.Run(map[bool]string{true: "reset", false: "closed"}[reset], func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			r := run(t, lab.Router, "syntap0", everything)
			for _, host := range addresses() {
				l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
				go serveAll(l, func(conn *net.TCPConn) {
					_, _ = io.CopyN(conn, conn, 5)
					if reset {
						_, _ = conn.Read(make([]byte, 1)) // the client is first
					}
				})
				for i := range rounds {
					if err := useTuple(lab.Router, l.Addr().String(), reset); err != nil {
						t.Fatalf("connection %d to %s: %v", i, host, err)
					}
				}
			}
			records := r.waitRecords(t, 2*rounds)
			repeated := 0
			for _, record := range records {
				if record.Outcome != "established" {
					t.Errorf("recorded %+v, want established", record)
				}
				repeated += record.Repeated
			}
			if len(records) != 2*rounds {
				t.Errorf("%d records, want %d", len(records), 2*rounds)
			}
			if repeated > rounds/4 { // of a tuple that cannot be used again at once nearly all are
				t.Errorf("%d SYNs of %d had to be sent again", repeated, 2*rounds)
			}
			reportf(t, "%d connections of one 4-tuple, %d SYNs sent again", rounds, repeated)
			r.stop(t, unix.SIGTERM)
		})
	}
}

// TestTupleOfOlderConnection has clients open a connection before the router runs, and another one
// of the same 4-tuple once its server has reset it. Connection tracking still has the entry of the
// first, which stays outside: the second must not. It may wait until the entry is gone.
func TestTupleOfOlderConnection(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_close", "1")
	lab.Router.Run("nft", "add table inet gateway; "+
		"add chain inet gateway f { type filter hook forward priority 0; }; "+
		"add rule inet gateway f ct state established accept")
	for _, host := range addresses() {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
		go serveAll(l, func(conn *net.TCPConn) {
			_, _ = fmt.Fprintln(conn, conn.RemoteAddr())
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.SetLinger(0) // closed by a reset
		})
	}
	type client struct {
		ns         *tuntest.Namespace
		host, from string
		conn       net.Conn
	}
	var clients []client
	for _, host := range addresses() {
		for _, ns := range []*tuntest.Namespace{lab.Router, lab.Client} {
			conn, from := openTuple(t, ns, host)
			clients = append(clients, client{ns, host, from, conn})
		}
	}
	sources := `name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]`
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "name: syntap0", sources, 1))
	for _, c := range clients {
		if _, err := c.conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Fatalf("the first connection from %s ended with %v, want a reset", c.from, err)
		}
		c.conn.Close()
		if _, from := openTuple(t, c.ns, c.host); from == c.from {
			t.Errorf("the second connection from %s has left past the TUN", from)
		}
	}
	if t.Failed() {
		return
	}
	r.waitRecords(t, len(clients))
	r.stop(t, unix.SIGTERM)
}

// openTuple opens a connection from port 6000 to a server that says where it comes from.
func openTuple(t *testing.T, ns *tuntest.Namespace, host string) (conn net.Conn, from string) {
	t.Helper()
	dialer := net.Dialer{
		Timeout: tuntest.Patience, LocalAddr: &net.TCPAddr{Port: 6000}, Control: reuseAddress,
	}
	err := ns.Do(func() (err error) {
		conn, err = dialer.Dial("tcp", net.JoinHostPort(host, "7000"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(tuntest.Patience)); err != nil {
		t.Fatal(err)
	}
	if from, err = bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return conn, strings.TrimSpace(from)
}

// useTuple makes one connection from port 6000: five bytes there and back.
func useTuple(ns *tuntest.Namespace, server string, reset bool) error {
	return ns.Do(func() error {
		dialer := net.Dialer{Timeout: tuntest.Patience, LocalAddr: &net.TCPAddr{Port: 6000}, Control: reuseAddress}
		conn, err := dialer.Dial("tcp", server)
		for deadline := time.Now().Add(tuntest.Patience); errors.Is(err, unix.EADDRNOTAVAIL) && time.Now().Before(deadline); {
			conn, err = dialer.Dial("tcp", server) // the last ACK is on its way
		}
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, "hello"); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
			return err
		}
		if reset {
			return conn.(*net.TCPConn).SetLinger(0)
		}
		_, err = io.Copy(io.Discard, conn) // the server's end: it is the one that stays in TIME-WAIT
		return err
	})
}

func reuseAddress(_, _ string, raw syscall.RawConn) (err error) {
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	if err == nil {
		err = controlErr
	}
	return err
}

// TestClientGivesUp has a client give up a connection, whose answer it does not get, and try again
// from the same port. The router, which waits for the client's ACK, asks it which of them counts
// (RFC 5961 §4).
func TestClientGivesUp(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveEchoes(lab)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	lab.Client.Drop(100, "input", "tcp flags & (syn | ack) == (syn | ack)")
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	dialer := net.Dialer{Timeout: tuntest.Patience, LocalAddr: &net.TCPAddr{Port: 6000}, Control: reuseAddress}
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	gaveUp := make(chan error, 1)
	go func() {
		gaveUp <- lab.Client.Do(func() error { _, err := dialer.DialContext(ctx, "tcp", address); return err })
	}()
	tuntest.Wait(t, "an answer to be lost", func() bool {
		return regexp.MustCompile(`packets [1-9]`).MatchString(lab.Client.Run("nft", "list", "table", "inet", "tuntest"))
	})
	giveUp()
	if err := <-gaveUp; err == nil {
		t.Fatal("connected without an answer")
	}
	lab.Client.Run("nft", "flush ruleset")
	start := time.Now()
	var conn net.Conn
	if err := lab.Client.Do(func() (err error) { conn, err = dialer.Dial("tcp", address); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Logf("connected in %v", time.Since(start))
	echo(t, conn)
	conn.Close()
	r.waitRecords(t, 2)
	r.stop(t, unix.SIGTERM)
	for i, record := range r.records(t) {
		if want := []string{"aborted", "established"}; i > 1 || record.Outcome != want[i] {
			t.Errorf("record %d: %+v, want %q", i, record, want)
		}
	}
}
