package e2e_test

import (
	"context"
	words "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// socketOf returns a descriptor of a router's upstream TCP sockets that is connected to an address;
// the zero value is for one that waits to be used.
func socketOf(t *testing.T, pid int, to netip.AddrPort) (fd int, ok bool) {
	t.Helper()
	return descriptorWhere(t, pid, func(s int) bool {
		if !isUpstream(s, unix.AF_INET, unix.SOCK_STREAM) {
			return false
		}
		peer, err := unix.Getpeername(s)
		far, isConnected := peer.(*unix.SockaddrInet4)
		if !to.IsValid() {
			return errors.Is(err, unix.ENOTCONN)
		}
		return isConnected && to == netip.AddrPortFrom(netip.AddrFrom4(far.Addr), uint16(far.Port))
	})
}

// isUpstream reports whether a socket of this kind has the mark of the router.
func isUpstream(s, family, kind int) bool {
	domain, _ := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_DOMAIN)
	typ, _ := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_TYPE)
	mark, _ := unix.GetsockoptInt(s, unix.SOL_SOCKET, unix.SO_MARK)
	return domain == family && typ == kind && mark == 0x5359
}

// descriptorWhere returns the last descriptor of a process whose copy matches.
func descriptorWhere(t *testing.T, pid int, matches func(int) bool) (fd int, ok bool) {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range slices.Backward(fds) { // the router takes the first of those that wait
		fd, _ := strconv.Atoi(entry.Name())
		s, err := unix.PidfdGetfd(process, fd, 0)
		if err != nil {
			continue
		}
		is := matches(s)
		_ = unix.Close(s)
		if is {
			return fd, true
		}
	}
	return 0, false
}

// connect has the thread connect a socket of its process; an invalid address ends its connection.
func (c *captive) connect(t *testing.T, fd int, to netip.AddrPort) {
	t.Helper()
	name := make([]byte, unix.SizeofSockaddrInet4)
	if to.IsValid() {
		words.NativeEndian.PutUint16(name, unix.AF_INET)
		words.BigEndian.PutUint16(name[2:], to.Port())
		copy(name[4:], to.Addr().AsSlice())
	}
	_, errno := c.do(t, unix.SYS_CONNECT, uint64(fd), c.write(t, 0, name), uint64(len(name)))
	if errno != 0 && errno != unix.EINPROGRESS {
		t.Fatalf("connect to %v: %v", to, errno)
	}
}

// findings returns the findings of unrecorded flows in the log, as "tcp 203.0.113.2 7001".
func unrecordedIn(t *testing.T, log string) (all []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var f struct {
			Kind, Proto, Dst string
			DPort            int
		}
		if json.Unmarshal([]byte(line), &f) == nil && f.Kind == "unrecorded" {
			all = append(all, fmt.Sprintln(f.Proto, f.Dst, f.DPort))
		}
	}
	return all
}

// countConnections counts the connections that a port of the lab's server accepts.
func countConnections(lab *tuntest.Lab, port int) *atomic.Int64 {
	n := new(atomic.Int64)
	go serveAll(lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, strconv.Itoa(port))), func(c *net.TCPConn) {
		n.Add(1)
		_, _ = c.Read(make([]byte, 1))
	})
	return n
}

// TestUnrecorded has a router that is taken over connect by a socket that it has from its keeper,
// without a record. That is found, and nothing new leaves the host.
func TestUnrecorded(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	reached, later := countConnections(lab, 7001), countConnections(lab, 7002)
	r := run(t, lab.Router, "syntap0", everything+"http: {listen: \"unix:DIR/http.sock\"}\n")
	r.hostile = true
	lab.Router.Run("curl", "-sS", urls()[0])
	first := r.routerPID(t)
	fd, ok := socketOf(t, first, netip.AddrPort{})
	if !ok {
		t.Fatal("the router has no socket that waits")
	}
	c := takeOver(t, first)
	began := time.Now()
	c.connect(t, fd, netip.MustParseAddrPort(tuntest.ServerAddr4+":7001"))
	r.wait(t, "the finding", func() bool { return len(unrecordedIn(t, r.read(t, "handshakes.json"))) > 0 })
	t.Logf("found after %v", time.Since(began))
	if got, want := unrecordedIn(t, r.read(t, "handshakes.json")), fmt.Sprintln("tcp", tuntest.ServerAddr4, 7001); len(got) != 1 || got[0] != want {
		t.Errorf("found %q, want %q", got, want)
	}
	if n := reached.Load(); n != 1 {
		t.Errorf("%d connections have come", n)
	}
	c.abandon()
	r.wait(t, "another router", func() bool { pid := routerOf(r.PID()); return pid > 0 && pid != first })

	var status struct {
		Sent  struct{ Unrecorded, Flows int }
		Found []struct {
			Kind  string
			Count int
		}
	}
	r.wait(t, "the status", func() bool {
		_ = json.Unmarshal([]byte(output(lab.Router, binary, "status", "--json", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))), &status)
		return status.Sent.Unrecorded == 1
	})
	said := output(lab.Router, binary, "status", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))
	if !strings.Contains(said, "1 unrecorded; nothing new leaves") {
		t.Errorf("status says %s", said)
	}
	metrics := output(lab.Router, "curl", "-sS", "--unix-socket", filepath.Join(r.dir, "http.sock"), "http://localhost/metrics")
	if !strings.Contains(metrics, `syntap_findings_total{direction="",kind="unrecorded"} 1`) {
		t.Errorf("the metrics have no finding: %s", metrics)
	}
	r.wait(t, "nftables to refuse", func() bool {
		return strings.Contains(output(lab.Router, "nft", "list", "chain", "inet", "syntap0", "sent_note"), "drop")
	})
	before := later.Load()
	if out := output(lab.Router, "curl", "-sS", "-m", "1", "http://"+tuntest.ServerAddr4+":7002/"); out != "" || later.Load() != before {
		t.Errorf("something new has left: %q", out)
	}
	r.stop(t, unix.SIGTERM)
	if !strings.Contains(r.Stderr(), "the router has sent unrecorded: tcp to "+tuntest.ServerAddr4+":7001") {
		t.Errorf("the keeper said %s", r.Stderr())
	}
}

// TestRecordedElsewhere has a router that is taken over lead a connection, whose record is written,
// to another destination. That is found, and with enforce: count the router goes on.
func TestRecordedElsewhere(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveEcho(lab.Server, ":7001")
	reached := countConnections(lab, 7002)
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, `"::/0"]}`, `"::/0"], enforce: count}`, 1))
	r.hostile = true
	conn := dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7001"))
	echo(t, conn)
	pid := r.routerPID(t)
	fd, ok := socketOf(t, pid, netip.MustParseAddrPort(tuntest.ServerAddr4+":7001"))
	if !ok {
		t.Fatal("the router has no socket that is connected")
	}
	c := takeOver(t, pid)
	mine, _ := c.do(t, unix.SYS_DUP, uint64(fd)) // the router closes its own, as the connection ends
	c.connect(t, int(mine), netip.AddrPort{})
	c.connect(t, int(mine), netip.MustParseAddrPort(tuntest.ServerAddr4+":7002"))
	c.release(t)
	r.wait(t, "the finding", func() bool { return len(unrecordedIn(t, r.read(t, "handshakes.json"))) > 0 })
	if got, want := unrecordedIn(t, r.read(t, "handshakes.json")), fmt.Sprintln("tcp", tuntest.ServerAddr4, 7002); len(got) != 1 || got[0] != want {
		t.Errorf("found %q, want %q", got, want)
	}
	tuntest.Wait(t, "the connection", func() bool { return reached.Load() == 1 })
	echo(t, dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7001")))
	if got := r.routerPID(t); got != pid {
		t.Errorf("router %d, want %d as before", got, pid)
	}
	r.stop(t, unix.SIGTERM)
}

// TestNeighborDiscovery has a router that is taken over send what connection tracking does not
// know, by a raw socket that it has for echoes, to where an echo is on record.
func TestNeighborDiscovery(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	for name, kind := range map[string]byte{
		"group query": 130, "group report": 143, "router advertisement": 134, "neighbour advertisement": 136, "redirect": 137,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			r := run(t, lab.Router, "syntap0", strings.Replace(everything, `"::/0"]}`, `"::/0"], enforce: count}`, 1))
			r.hostile = true
			lab.Router.Run("ping", "-6", "-c", "1", tuntest.ServerAddr6)
			pid := r.routerPID(t)
			fd, ok := descriptorWhere(t, pid, func(s int) bool { return isUpstream(s, unix.AF_INET6, unix.SOCK_RAW) })
			if !ok {
				t.Fatal("the router has no raw socket")
			}
			c := takeOver(t, pid)
			message := append([]byte{kind, 0, 0, 0, 0, 0, 0, 0}, "a secret"...)
			to := make([]byte, unix.SizeofSockaddrInet6)
			words.NativeEndian.PutUint16(to, unix.AF_INET6)
			copy(to[8:], netip.MustParseAddr(tuntest.ServerAddr6).AsSlice())
			_, errno := c.do(t, unix.SYS_SENDTO, uint64(fd), c.write(t, 0, message), uint64(len(message)), 0,
				c.write(t, 100, to), uint64(len(to)))
			if errno != 0 {
				t.Fatalf("send: %v", errno)
			}
			r.wait(t, "the finding", func() bool { return len(unrecordedIn(t, r.read(t, "handshakes.json"))) > 0 })
			if got, want := unrecordedIn(t, r.read(t, "handshakes.json"))[0], fmt.Sprintln("icmp", tuntest.ServerAddr6, 0); got != want {
				t.Errorf("found %q, want %q", got, want)
			}
			c.release(t)
			r.stop(t, unix.SIGTERM)
		})
	}
}

// TestUnrecordedUnderLoad makes connections and sends datagrams as fast as it goes, while the
// router is killed and connection tracking is flushed: all of that is on record, and no finding.
func TestUnrecordedUnderLoad(t *testing.T) {
	t.Parallel()
	requireTools(t, "conntrack", "nft")
	lab := tuntest.NewLab(t)
	serveEchoes(lab)
	go echoDatagrams(lab.Server.ListenPacket("udp", net.JoinHostPort(tuntest.ServerAddr4, "7003")))
	r := run(t, lab.Router, "syntap0", everything)
	connections, rounds := scaled(500, 20_000), scaled(1, 100)
	connectEchoes(t, lab, connections)
	var echoed atomic.Int64
	more := func() {
		t.Helper()
		until := echoed.Load() + 10
		r.wait(t, "connections", func() bool { return echoed.Load() >= until })
	}
	for range rounds {
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				for ctx.Err() == nil {
					if i%2 == 0 {
						if echoOneByte(lab.Router, net.JoinHostPort(addresses()[i/2%2], "7000")) == nil {
							echoed.Add(1)
						}
						continue
					}
					if c, err := lab.Router.Dial(ctx, "udp", net.JoinHostPort(tuntest.ServerAddr4, "7003")); err == nil {
						_, _ = c.Write([]byte("x"))
						_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
						_, _ = c.Read(make([]byte, 1))
						c.Close()
					}
				}
			})
		}
		more()
		lab.Router.Run("conntrack", "-F")
		r.killRouter(t)
		more()
		stop()
		clients.Wait()
	}
	r.stop(t, unix.SIGTERM)
	connections += int(echoed.Load())
	records := r.records(t) // checks lines and numbers
	recorded := len(slices.DeleteFunc(records, func(r record) bool { return r.Outcome != "established" }))
	reportf(t, "%d rounds of SIGKILL, %d connections, %d on record", rounds, connections, recorded)
	if recorded < connections {
		t.Error("a connection is not on record")
	}
}
