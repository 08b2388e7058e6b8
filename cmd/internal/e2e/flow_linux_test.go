package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// addresses of the lab's server.
func addresses() []string { return []string{tuntest.ServerAddr4, tuntest.ServerAddr6} }

// TestClientClosesFirst has the client close its half: the server must see the end, and its answer
// must still arrive.
func TestClientClosesFirst(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
		served := make(chan error, 1)
		go func() {
			served <- serveOne(l, func(conn *net.TCPConn) error {
				question, err := io.ReadAll(conn) // ends with the client's half only
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(conn, "%d bytes", len(question))
				return err
			})
		}()
		ctx, cancel := timeout()
		cmd := lab.Router.Command(ctx, "nc", "-N", host, "7000")
		cmd.Stdin = strings.NewReader(strings.Repeat("x", 100_000))
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil || string(out) != "100000 bytes" {
			t.Errorf("nc to %s: %v, printed %q, want %q", host, err, out, "100000 bytes")
		}
		if err := <-served; err != nil {
			t.Errorf("server on %s: %v", host, err)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestServerClosesFirst has the server close its half: bytes that the client sends after that must
// still arrive.
func TestServerClosesFirst(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
		received := make(chan string, 1)
		served := make(chan error, 1)
		go func() {
			served <- serveOne(l, func(conn *net.TCPConn) error {
				if _, err := fmt.Fprint(conn, "go on"); err != nil {
					return err
				}
				if err := conn.CloseWrite(); err != nil {
					return err
				}
				rest, err := io.ReadAll(conn)
				received <- string(rest)
				return err
			})
		}()
		conn, err := lab.Router.Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		greeting, err := io.ReadAll(conn) // ends with the server's half only
		if err != nil || string(greeting) != "go on" {
			t.Errorf("client of %s read %q, %v, want %q", host, greeting, err, "go on")
		}
		if _, err := fmt.Fprint(conn, "still here"); err != nil {
			t.Errorf("client of %s: %v", host, err)
		}
		conn.Close()
		if err := <-served; err != nil {
			t.Errorf("server on %s: %v", host, err)
		} else if rest := <-received; rest != "still here" {
			t.Errorf("server on %s received %q after its half was closed, want %q", host, rest, "still here")
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestReset has one side reset the connection: the other must see a reset, not an end.
func TestReset(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
		for _, byServer := range []bool{true, false} {
			atServer := make(chan error, 1)
			go func() {
				atServer <- serveOne(l, func(conn *net.TCPConn) error {
					if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil {
						return fmt.Errorf("before any byte: %w", err)
					}
					if byServer {
						return conn.SetLinger(0)
					}
					_, err := conn.Read(make([]byte, 1))
					return err
				})
			}()
			conn, err := lab.Router.Dial(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprint(conn, "hello"); err != nil {
				t.Errorf("client of %s: %v", host, err)
			}
			if byServer {
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("client of %s read %v, want ECONNRESET", host, err)
				}
				conn.Close()
				if err := <-atServer; err != nil {
					t.Errorf("server on %s: %v", host, err)
				}
				continue
			}
			if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			conn.Close()
			if err := <-atServer; !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("server on %s read %v, want ECONNRESET", host, err)
			}
		}
	}
	r.stop(t, unix.SIGTERM)
}

// serveOne accepts one connection and serves it.
func serveOne(l net.Listener, serve func(*net.TCPConn) error) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	return serve(conn.(*net.TCPConn))
}
