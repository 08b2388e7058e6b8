package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestBlindSegments sends the segments that a sender can make who knows the ends of a connection
// and none of its numbers. It neither stops the connection nor makes a record (RFC 5961).
func TestBlindSegments(t *testing.T) {
	t.Parallel()
	requireTools(t, "hping3")
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	conn := dial(t, lab.Client, address)
	port := fmt.Sprint(conn.LocalAddr().(*net.TCPAddr).Port)
	clock := startRunTime(t.Context())
	blind := func(flags ...string) {
		args := append([]string{"-q", "-n", "-k", "-s", port, "-p", "7000", "-i", "u1000", tuntest.ServerAddr4}, flags...)
		_ = command(t, lab.Client, "hping3", args...) // it ends with 1 where nothing answers
		began := clock.now()
		echo(t, conn)
		if took := clock.now() - began; took > 2*time.Second {
			t.Errorf("after %s a round trip took %v", strings.Join(flags, " "), took)
		}
	}
	blind("-R", "-M", "77", "-c", "1")
	blind("-S", "-M", "1000", "-c", "3")
	blind("-F", "-A", "-M", "77", "-L", "88", "-c", "1")
	blind("-S", "-M", "2000", "-c", "3")
	blind("-R", "-A", "-M", "99", "-L", "99", "-c", "1")
	blind("-S", "-M", "3000", "-c", "500")
	for last := clock.now(); clock.now()-last < 2*time.Second; { // else the last SYN begins the next connection
		echo(t, conn)
	}
	conn.Close()
	r.stop(t, unix.SIGTERM)
	if records := r.records(t); len(records) != 1 || records[0].Outcome != "established" {
		t.Errorf("records: %+v, want one, established", records)
	}
}

// TestBlindSYNBeforeACK sends SYNs with other numbers between the router's SYN-ACK and the client's
// ACK, which is lost at first. They do not end the handshake, whether their number is in netstack's
// receive window or not (RFC 5961 §4).
func TestBlindSYNBeforeACK(t *testing.T) {
	t.Parallel()
	requireTools(t, "hping3", "nft")
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	// A handshake may wait for its ACK for as long as hping3 takes.
	r := run(t, lab.Router, "syntap0", strings.Replace(gatewayOf, "tap: {", "tap: {timeout: 1m, ", 1))
	lab.Client.Drop(100, "output", "tcp flags & (syn | ack) == ack")
	conn := dial(t, lab.Client, address)
	defer conn.Close()
	port := fmt.Sprint(conn.LocalAddr().(*net.TCPAddr).Port)
	for _, number := range []uint32{1000, nextNumber(t, conn) + 100} {
		_ = command(t, lab.Client, "hping3", "-q", "-n", "-k", "-S", "-s", port, "-p", "7000",
			"-M", fmt.Sprint(number), "-c", "1", tuntest.ServerAddr4)
	}
	lab.Client.Run("nft", "flush ruleset")
	echo(t, conn)
	if records := r.waitRecords(t, 1); len(records) != 1 || records[0].Outcome != "established" {
		t.Errorf("records: %+v, want one, established", records)
	}
	conn.Close()
	r.stop(t, unix.SIGTERM)
}

// nextNumber returns the sequence number of the next byte that a connection sends.
func nextNumber(t *testing.T, conn net.Conn) uint32 {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	const sendQueue, offWithoutProbe = 2, -1 // linux/tcp.h
	var number int
	controlErr := raw.Control(func(fd uintptr) {
		set := func(option, value int) {
			if e := unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, option, value); err == nil {
				err = e
			}
		}
		set(unix.TCP_REPAIR, 1)
		set(unix.TCP_REPAIR_QUEUE, sendQueue)
		number, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
		set(unix.TCP_REPAIR, offWithoutProbe)
	})
	if err := errors.Join(err, controlErr); err != nil {
		t.Fatal(err)
	}
	return uint32(number)
}

// TestSYNRate sends many SYNs with ever new numbers on one 4-tuple. They make a few records, not
// one each.
func TestSYNRate(t *testing.T) {
	t.Parallel()
	requireTools(t, "hping3")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", gatewayOf)
	lab.Router.Run("nft", "add table ip t; add chain ip t c { type filter hook postrouting priority 500; }; "+
		"add rule ip t c oifname syntap0 tcp flags syn counter")
	start := time.Now()
	_ = command(t, lab.Client, "hping3", "-q", "-n", "-k", "-S", "-s", "6000", "-p", "7000", "-i", "u200", "-c", "2000", tuntest.ServerAddr4)
	took := time.Since(start) // 0.4 s at least
	var syns int              // that have come to the TUN, whose queue may have been full
	counter := lab.Router.Run("nft", "list", "chain", "ip", "t", "c")
	if _, err := fmt.Sscanf(counter[strings.Index(counter, "packets "):], "packets %d", &syns); err != nil || syns == 0 {
		t.Fatalf("%d SYNs have come to the TUN, %v: %s", syns, err, counter)
	}
	lost := int(linkStatistics(lab.Router, "syntap0").TxDropped)
	carried := r.carried(t)
	records := carried["refused"] + carried["no_reply"]
	if dropped := carried["drop_syn_rate"]; records == 0 || dropped == 0 || records+dropped > syns || records+dropped < syns-lost {
		t.Errorf("carried %v, want records of %d SYNs, and the rest as drop_syn_rate; %d frames did not fit the TUN's queue", carried, syns, lost)
	}
	if most := 20 + 1 + int(took/(50*time.Millisecond)); records > most {
		t.Errorf("%d records in %v, want 20 and one each 50 ms", records, took)
	}
}

// TestOneConnectOneRecord has a client send its SYN again after an ICMP error, as some do.
func TestOneConnectOneRecord(t *testing.T) {
	t.Parallel()
	requireTools(t, "hping3", "nft")
	lab := tuntest.NewLab(t)
	lab.Server.Run("nft", `add table inet t; add chain inet t c { type filter hook input priority 0; }
		add rule inet t c tcp dport 7000 reject with icmpx type host-unreachable`)
	r := run(t, lab.Router, "syntap0", gatewayOf+"egress: {dial_timeout: 1m}\n") // as long is the same SYN known
	for range 3 {
		_ = command(t, lab.Client, "hping3", "-q", "-n", "-k", "-S", "-M", "1000", "-s", "6000", "-p", "7000", "-c", "1", tuntest.ServerAddr4)
	}
	_ = command(t, lab.Client, "hping3", "-q", "-n", "-k", "-S", "-M", "2000", "-s", "6000", "-p", "7000", "-c", "1", tuntest.ServerAddr4)
	r.waitRecords(t, 2)
	carried := r.carried(t)
	if carried["unreachable"] != 2 {
		t.Errorf("carried %v, want 2 unreachable: one for each number", carried)
	}
}

// TestFlowsPerSource has one client of a gateway hold as much as it may. Others, and the gateway
// itself, still connect.
func TestFlowsPerSource(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	lab.Client.AddAddress("eth0", "192.0.2.3/24")
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	const limit = 4
	r := run(t, lab.Router, "syntap0", gatewayOf+fmt.Sprintf("limits: {tcp_flows: %d}\n", 4*limit))
	var held []net.Conn
	for range limit {
		conn := dial(t, lab.Client, address)
		echo(t, conn)
		held = append(held, conn)
	}
	more, err := startConnect(lab.Client, tuntest.ServerAddr4, 7000)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(more)
	r.wait(t, "a SYN dropped", func() bool {
		metrics := lab.Router.Run("curl", "-sS", "http://"+viewAddress+"/metrics")
		return !strings.Contains(metrics, `syntap_drops_total{reason="tcp_flows_per_source"} 0`+"\n")
	})
	for _, from := range []struct {
		ns      *tuntest.Namespace
		address string
	}{{lab.Client, "192.0.2.3"}, {lab.Router, "192.0.2.1"}} {
		ctx, cancel := timeout()
		defer cancel()
		err := from.ns.Do(func() error {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from.address)}}).DialContext(ctx, "tcp", address)
			if err == nil {
				conn.Close()
			}
			return err
		})
		if err != nil {
			t.Errorf("from %s: %v", from.address, err)
		}
	}
	for _, conn := range held {
		conn.Close()
	}
	for range 2 * limit { // one after the other
		conn := dial(t, lab.Client, address)
		echo(t, conn)
		conn.Close()
	}
	r.stop(t, unix.SIGTERM)
}

// startConnect begins a connection that may not succeed.
func startConnect(ns *tuntest.Namespace, host string, port int) (fd int, err error) {
	err = ns.Do(func() error {
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte(net.ParseIP(host).To4()), Port: port}); err != unix.EINPROGRESS {
			return err
		}
		return nil
	})
	return fd, err
}

// TestExtensionHeaders has a client put destination options into each of its packets, which a host
// may skip.
func TestExtensionHeaders(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr6, "7000")
	serveEcho(lab.Server, address)
	r := run(t, lab.Router, "syntap0", everything)
	ctx, cancel := timeout()
	defer cancel()
	var conn net.Conn
	err := lab.Router.Do(func() (err error) {
		conn, err = (&net.Dialer{Control: withDestinationOptions}).DialContext(ctx, "tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sent := strings.Repeat("0123456789", 20_000)
	go func() { _, _ = fmt.Fprint(conn, sent) }()
	_ = conn.SetReadDeadline(time.Now().Add(tuntest.Patience))
	got := make([]byte, len(sent))
	for n := 0; n < len(got); {
		more, err := conn.Read(got[n:])
		if err != nil {
			t.Fatalf("after %d bytes of %d: %v", n, len(got), err)
		}
		n += more
	}
	if string(got) != sent {
		t.Error("other bytes came back")
	}
	if records := r.waitRecords(t, 1); len(records) != 1 || records[0].Outcome != "established" || !strings.Contains(records[0].Lines[0], "DSTOPT") {
		t.Errorf("records: %+v, want one, established, with the header in its SYN", records)
	}
	r.stop(t, unix.SIGTERM)
}

func withDestinationOptions(_, _ string, raw syscall.RawConn) (err error) {
	padding := "\x00\x00\x01\x04\x00\x00\x00\x00"
	controlErr := raw.Control(func(fd uintptr) { err = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, padding) })
	if err == nil {
		err = controlErr
	}
	return err
}
