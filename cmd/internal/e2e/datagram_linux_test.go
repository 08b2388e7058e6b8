package e2e_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// datagramGateway is the config of a gateway that shows its counters.
const datagramGateway = `
tun: {name: syntap0, sources: [host, 192.0.2.0/24, "2001:db8:1::/64"]}
route: {exclude: [192.0.2.0/24, "2001:db8:1::/64"]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
http: {listen: ` + viewAddress + `}
`

// metric returns the value of one of the router's metrics, with its labels; 0 if there is none.
func metric(t *testing.T, ns *tuntest.Namespace, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` ([0-9.e+]+)$`).FindStringSubmatch(ns.Run("curl", "-sS", "http://"+viewAddress+"/metrics"))
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func listenDatagrams(t *testing.T, ns *tuntest.Namespace, address string) *net.UDPConn {
	t.Helper()
	network := "udp"
	switch { // or it would be the port of both families
	case strings.HasPrefix(address, "[::]"):
		network = "udp6"
	case strings.HasPrefix(address, "0.0.0.0"):
		network = "udp4"
	}
	return ns.ListenPacket(network, address).(*net.UDPConn)
}

// send sends a datagram, and receive wants one within tuntest.Patience.
func send(t *testing.T, c *net.UDPConn, to net.Addr, payload string) {
	t.Helper()
	if _, err := c.WriteTo([]byte(payload), to); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *net.UDPConn, want string) (from net.Addr) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(tuntest.Patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	n, from, err := c.ReadFrom(b)
	if err != nil || string(b[:n]) != want {
		t.Fatalf("%s has received %q, %v, want %q", c.LocalAddr(), b[:n], err, want)
	}
	return from
}

// TestClientPorts has a client behind a gateway use ports: the host's services can have them, too,
// unless they are below 1024, and datagrams of the host to the client's mapping do not reach the
// client.
func TestClientPorts(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", datagramGateway)
	for i, host := range addresses() {
		far := listenDatagrams(t, lab.Server, net.JoinHostPort(host, "7000"))
		exchange := func(c *net.UDPConn) (seen *net.UDPAddr) {
			t.Helper()
			send(t, c, far.LocalAddr(), "question")
			seen = receive(t, far, "question").(*net.UDPAddr)
			send(t, far, seen, "answer")
			receive(t, c, "answer")
			return seen
		}
		any := []string{"0.0.0.0", "[::]"}[i]
		client := listenDatagrams(t, lab.Client, any+":8125")
		seen := exchange(client)
		for _, address := range []string{any + ":8125", net.JoinHostPort([]string{tuntest.RouterAddr4, tuntest.RouterAddr6}[i], "8126")} {
			before := metric(t, lab.Router, `syntap_drops_total{reason="uninvited"}`)
			service := listenDatagrams(t, lab.Router, address)
			send(t, service, seen, "of the host")
			r.wait(t, "the host's datagram to be dropped", func() bool {
				return metric(t, lab.Router, `syntap_drops_total{reason="uninvited"}`) == before+1
			})
			service.Close()
		}
		stranger := listenDatagrams(t, lab.Server, net.JoinHostPort(host, "7001"))
		onHost := listenDatagrams(t, lab.Router, any+":0")
		for c, seen := range map[*net.UDPConn]*net.UDPAddr{client: seen, onHost: exchange(onHost)} {
			send(t, stranger, seen, "of a stranger")
			send(t, c, receive(t, c, "of a stranger"), "back")
			if got := receive(t, stranger, "back"); got.String() != seen.String() {
				t.Errorf("a stranger has its answer from %s, want it from %s", got, seen)
			}
		}

		if seen := exchange(listenDatagrams(t, lab.Client, any+":500")); seen.Port != 500 {
			t.Errorf("%s sees port %d, want the client's 500", host, seen.Port)
		}
		if seen := exchange(listenDatagrams(t, lab.Router, any+":501")); seen.Port >= 1024 {
			t.Errorf("%s sees port %d of a client on the host, want one below 1024", host, seen.Port)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestOwnPacketsComeBack has routes of the operator lead into the TUN, also for packets of the
// router's own sockets, as a host with a rule missing would: none of its packets begets another.
func TestOwnPacketsComeBack(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping")
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, "route: {include: []}\ntap: {log: [{format: json, path: DIR/handshakes.json}]}\nhttp: {listen: "+viewAddress+"}\n"))
	r.wait(t, "the interface", func() bool { return command(t, lab.Router, "ip", "link", "show", "up", "dev", "syntap0").stdout != "" })
	for _, host := range addresses() {
		lab.Router.Run("ip", "route", "add", host, "dev", "syntap0")
	}
	r.wait(t, "the page", func() bool {
		return command(t, lab.Router, "curl", "-sS", "http://"+viewAddress+"/healthz").status == 0
	})
	const each = 3
	for _, host := range addresses() {
		for range each {
			command(t, lab.Router, "ping", "-n", "-c1", "-W1", host)
			c, err := lab.Router.Dial(t.Context(), "udp", net.JoinHostPort(host, "7000"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, "hello")
			c.Close()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if c, err := lab.Router.Dial(ctx, "tcp", net.JoinHostPort(host, "80")); err == nil {
			c.Close()
			t.Errorf("connected to %s through a loop", host)
		}
		cancel()
	}
	r.wait(t, "them to be dropped", func() bool {
		return metric(t, lab.Router, `syntap_drops_total{reason="own_socket"}`) >= 4*each+2
	})
	for _, proto := range []string{"icmp", "udp"} {
		if n := metric(t, lab.Router, `syntap_flows{proto="`+proto+`"}`); n != 2*each {
			t.Errorf("%d flows of %s, want the %d of the clients", n, proto, 2*each)
		}
	}
	carried, attempts := r.carried(t), len(r.records(t))
	if carried["drop_own_socket"] > 60 || attempts < 2 || attempts > 6 {
		t.Errorf("carried %v with %d records, want few drops and attempts", carried, attempts)
	}
}

// TestBurst has a server answer by datagrams in a row, faster than they can be passed on.
func TestBurst(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", datagramGateway)
	for _, host := range addresses() {
		far := listenDatagrams(t, lab.Server, net.JoinHostPort(host, "7000"))
		client := listenDatagrams(t, lab.Router, ":0")
		raw, err := client.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) })
		if err != nil {
			t.Skipf("no large buffers here: %v", err)
		}
		const many = 2000
		send(t, client, far.LocalAddr(), "question")
		from := receive(t, far, "question")
		if err := unix.Kill(r.routerPID(t), unix.SIGSTOP); err != nil { // the worst that can happen to it
			t.Fatal(err)
		}
		answer := strings.Repeat("x", 1400)
		for range many {
			send(t, far, from, answer)
		}
		if err := unix.Kill(r.routerPID(t), unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		for range many {
			receive(t, client, answer)
		}
	}
	// The datagrams that do not fit are counted.
	far := listenDatagrams(t, lab.Server, net.JoinHostPort(tuntest.ServerAddr4, "7001"))
	client := listenDatagrams(t, lab.Router, ":0")
	send(t, client, far.LocalAddr(), "question")
	from := receive(t, far, "question")
	if err := unix.Kill(r.routerPID(t), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 15000 {
		send(t, far, from, strings.Repeat("x", 1400))
	}
	if err := unix.Kill(r.routerPID(t), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "the loss to be counted", func() bool {
		send(t, far, from, "what comes after")
		return metric(t, lab.Router, `syntap_drops_total{reason="receive_queue"}`) > 1000
	})
	r.stop(t, unix.SIGTERM)
}

// TestDatagramsOfOneSource has one client take all the places it gets: others get theirs.
func TestDatagramsOfOneSource(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", datagramGateway+"limits: {udp_flows: 64}\n")
	const ofOne = 16 // a quarter of 64
	for i, host := range addresses() {
		server := net.JoinHostPort(host, "7000")
		serveDatagrams(lab.Server, server)
		ask := func(ns *tuntest.Namespace) (conn net.Conn) {
			conn, err := ns.Dial(t.Context(), "udp", server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			fmt.Fprint(conn, "question")
			return conn
		}
		wantAnswer := func(conn net.Conn) {
			t.Helper()
			tuntest.Wait(t, "an answer", func() bool {
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				_, err := conn.Read(make([]byte, 100))
				if err != nil {
					fmt.Fprint(conn, "question") // a busy machine loses datagrams
				}
				return err == nil
			})
		}
		for range ofOne {
			wantAnswer(ask(lab.Client))
		}
		dropped := func() int { return metric(t, lab.Router, `syntap_drops_total{reason="udp_flows_per_source"}`) }
		before := dropped()
		var beyond []net.Conn
		for range 2 * ofOne {
			beyond = append(beyond, ask(lab.Client))
		}
		r.wait(t, "datagrams of those beyond to be dropped", func() bool {
			if dropped()-before >= len(beyond) {
				return true
			}
			for _, conn := range beyond {
				fmt.Fprint(conn, "question")
			}
			return false
		})
		if n, want := metric(t, lab.Router, `syntap_flows{proto="udp"}`), ofOne*(i+1)+i; n != want {
			t.Errorf("%d flows, want %d, of which %d of the client over each version of IP", n, want, ofOne)
		}
		wantAnswer(ask(lab.Router))
	}
	r.stop(t, unix.SIGTERM)
}

// TestQuietPortsClose sets the time after which a port of a client that says nothing is given up.
func TestQuietPortsClose(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", datagramGateway+"egress: {udp_timeout: 1s, icmp_timeout: 1s}\n")
	for _, host := range addresses() {
		far := listenDatagrams(t, lab.Server, net.JoinHostPort(host, "7002"))
		client := listenDatagrams(t, lab.Client, ":0")
		send(t, client, far.LocalAddr(), "question")
		receive(t, far, "question")
		lab.Client.Run("ping", "-n", "-c1", "-w20", host)
	}
	for _, proto := range []string{"udp", "icmp"} {
		r.wait(t, proto+" to end", func() bool { return metric(t, lab.Router, `syntap_flows{proto="`+proto+`"}`) == 0 })
	}
	r.stop(t, unix.SIGTERM)
}
