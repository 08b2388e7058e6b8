package e2e_test

import (
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// Connections in which nothing is said, and ends that have vanished.

// impatient asks silent ends after a second whether they are there.
const impatient = `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
egress: {keepalive_idle: 1s, keepalive_interval: 1s, keepalive_probes: 2}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`

// TestHalfClosed has a client finish and a server take its time: the connection lives as long as
// both do, and no longer.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		vanish func(lab *tuntest.Lab) // nil: neither end does
	}{
		{"both live", nil},
		{"the server vanishes", func(lab *tuntest.Lab) { lab.Server.Drop(100, "output", "meta l4proto tcp") }},
		{"the client vanishes", func(lab *tuntest.Lab) { lab.Client.Drop(100, "output", "meta l4proto tcp") }},
	} {
		for _, host := range addresses() {
			t.Run(tt.name+"/"+host, func(t *testing.T) {
				t.Parallel()
				lab := tuntest.NewLab(t)
				run(t, lab.Router, "syntap0", impatient)
				halfClose(t, lab, net.JoinHostPort(host, "7000"), tt.vanish)
			})
		}
	}
}

func halfClose(t *testing.T, lab *tuntest.Lab, address string, vanish func(lab *tuntest.Lab)) {
	asked, answer, atServer := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	l := lab.Server.Listen("tcp", address)
	go func() {
		atServer <- serveOne(l, func(conn *net.TCPConn) error {
			_, _ = io.ReadAll(conn)
			close(asked)
			<-answer
			for {
				if _, err := conn.Write([]byte("result")); err != nil || vanish == nil {
					return err
				}
				time.Sleep(50 * time.Millisecond) // until the reset has come
			}
		})
	}()
	conn := dial(t, lab.Client, address).(*net.TCPConn)
	defer conn.Close()
	_, _ = conn.Write([]byte("query"))
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-asked
	tuntest.Wait(t, "the FIN to be acknowledged", func() bool { return connections(lab.Router, "fin-wait-2", address) == 1 })
	if vanish == nil {
		before := kernelCount(t, lab.Router, "TCPKeepAlive")
		tuntest.Wait(t, "probes of the silent server", func() bool { return kernelCount(t, lab.Router, "TCPKeepAlive") >= before+4 })
	} else {
		vanish(lab)
		tuntest.Wait(t, "the end of the connection", func() bool { return connections(lab.Router, "connected", address) == 0 })
	}
	close(answer)
	if vanish != nil {
		if err := <-atServer; !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
			t.Errorf("server %s ends with %v, want a reset", address, err)
		}
		return
	}
	if b, err := io.ReadAll(conn); string(b) != "result" || err != nil {
		t.Errorf("client of %s read %q, %v, want the result", address, b, err)
	}
}

// TestClientKeepalive has clients ask whether their server is there: they learn the truth.
func TestClientKeepalive(t *testing.T) {
	t.Parallel()
	for _, host := range addresses() {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			run(t, lab.Router, "syntap0", `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
			address := net.JoinHostPort(host, "7000")
			serveEcho(lab.Server, address)
			probes := func(n int) { // waits for so many
				before := kernelCount(t, lab.Client, "TCPKeepAlive")
				tuntest.Wait(t, "probes of the client", func() bool { return kernelCount(t, lab.Client, "TCPKeepAlive") >= before+n })
			}
			keepalive := net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 6} // it has to outlive stalls
			connect := func() *net.TCPConn {
				conn := dial(t, lab.Client, address).(*net.TCPConn)
				if err := conn.SetKeepAliveConfig(keepalive); err != nil {
					t.Fatal(err)
				}
				return conn
			}
			idle, fresh, loaded := connect(), connect(), connect()
			echo(t, idle)
			echo(t, loaded)
			probes(9)
			echo(t, idle)

			// A connection with data on its way has no probes without a router, and outlives more
			// than they allow.
			lab.Server.Drop(100, "output", "meta l4proto tcp")
			if _, err := loaded.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			for name, conn := range map[string]*net.TCPConn{"idle": idle, "fresh": fresh} {
				_ = conn.SetReadDeadline(time.Now().Add(tuntest.Patience))
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ETIMEDOUT) {
					t.Errorf("%s client has read %v, want a timeout of its own", name, err)
				}
			}
			probes(7)
			lab.Server.Run("nft", "delete", "table", "inet", "tuntest")
			_ = loaded.SetReadDeadline(time.Now().Add(tuntest.Patience))
			if _, err := io.ReadFull(loaded, make([]byte, 1)); err != nil {
				t.Errorf("client with data on its way has read %v", err)
			}
			echo(t, loaded)
		})
	}
}

// TestOutage has the network be away for longer than the router asks after answers: connections
// live on, one that is idle and one whose client waits for an answer.
func TestOutage(t *testing.T) {
	t.Parallel()
	requireTools(t, "ss")
	for _, host := range addresses() {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			run(t, lab.Router, "syntap0", everything)
			serveEcho(lab.Server, net.JoinHostPort(host, "7000"))
			asked, answer := make(chan struct{}), make(chan struct{})
			slow := lab.Server.Listen("tcp", net.JoinHostPort(host, "7001"))
			go serveAll(slow, func(conn *net.TCPConn) {
				query := make([]byte, 5)
				_, _ = io.ReadFull(conn, query)
				close(asked)
				<-answer
				_, _ = conn.Write(query)
			})
			idle := dial(t, lab.Router, net.JoinHostPort(host, "7000"))
			defer idle.Close()
			echo(t, idle)
			waiting := dial(t, lab.Router, slow.Addr().String())
			defer waiting.Close()
			if _, err := waiting.Write([]byte("query")); err != nil {
				t.Fatal(err)
			}
			<-asked
			for _, hook := range []string{"input", "output"} {
				lab.Server.Drop(100, hook, "meta l4proto tcp")
			}
			const away = 13_000 // ms
			tuntest.Wait(t, "13 s without a segment", func() bool {
				sockets := lab.Router.Run("ss", "-Htin", "state", "established",
					"dst", net.JoinHostPort(host, "7000"), "or", "dst", slow.Addr().String())
				long := func(s string) bool { n, _ := strconv.Atoi(strings.TrimPrefix(s, "lastrcv:")); return n >= away }
				return !slices.ContainsFunc(silences.FindAllString(sockets, -1), func(s string) bool { return !long(s) })
			})
			lab.Server.Run("nft", "delete", "table", "inet", "tuntest")
			echo(t, idle)
			close(answer)
			b := make([]byte, 5)
			_ = waiting.SetReadDeadline(time.Now().Add(tuntest.Patience))
			if _, err := io.ReadFull(waiting, b); err != nil || string(b) != "query" {
				t.Errorf("the waiting client has read %q, %v", b, err)
			}
		})
	}
}

// silences matches the times since a TCP socket has last received bytes, in ms, as ss prints them.
var silences = regexp.MustCompile(`lastrcv:\d+`)

// TestUserTimeout has a server vanish while data is on its way to it: the client, to which the
// router has acknowledged that, sees a reset.
func TestUserTimeout(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	run(t, lab.Router, "syntap0", strings.Replace(impatient, "keepalive_idle: 1s", "user_timeout: 1500ms", 1))
	var conns []net.Conn
	for _, host := range addresses() {
		address := net.JoinHostPort(host, "7000")
		serveEcho(lab.Server, address)
		conn := dial(t, lab.Router, address)
		echo(t, conn)
		conns = append(conns, conn)
	}
	lab.Server.Drop(100, "output", "meta l4proto tcp")
	for _, conn := range conns {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(tuntest.Patience))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("client of %s has read %v, want a reset", conn.RemoteAddr(), err)
		}
	}
}

// connections returns how many connections a namespace has with an address, in a state as ss names
// it.
func connections(ns *tuntest.Namespace, state, address string) int {
	return strings.Count(ns.Run("ss", "-Htn", "state", state, "dst", address), "\n")
}

// kernelCount returns a counter of the kernel's TCP (/proc/net/netstat) in a namespace.
func kernelCount(t *testing.T, ns *tuntest.Namespace, name string) int {
	t.Helper()
	lines := strings.Split(ns.Run("cat", "/proc/net/netstat"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		for j, field := range strings.Fields(lines[i]) {
			if field == name {
				n, err := strconv.Atoi(strings.Fields(lines[i+1])[j])
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatalf("the kernel does not count %s", name)
	return 0
}
