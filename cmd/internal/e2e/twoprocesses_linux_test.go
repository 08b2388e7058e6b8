package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// killRouter kills the process of a run that reads packets, and waits for the next one.
func (r *router) killRouter(t *testing.T) {
	t.Helper()
	dead := r.routerPID(t)
	if err := unix.Kill(dead, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "another router", func() bool {
		next := routerOf(r.PID())
		return next > 0 && next != dead
	})
}

// link returns the number of an interface, which another one of the same name has not.
func link(ns *tuntest.Namespace, name string) string {
	number, _, _ := strings.Cut(output(ns, "ip", "-oneline", "link", "show", name), ":")
	return number
}

// TestRouterIsReplaced kills the process that reads packets again and again, under traffic. The
// other one has the next, on the same interface; nothing leaves the host past them, open
// connections are reset, and each connection of which a byte has come through is in the log, whose
// numbers go on.
func TestRouterIsReplaced(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nc", "nft", "ping", "tcpdump")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7001")
	var served ends
	go serveAll(lab.Server.Listen("tcp", address), func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("y"))
		if n, _ := conn.Read(make([]byte, 1)); n == 1 {
			served.add("router " + conn.RemoteAddr().String())
		}
	})
	serveEcho(lab.Server, ":7002")
	r := run(t, lab.Router, "syntap0", everything)
	leaks, end := captureLeaks(t, lab.Router)
	knock(lab.Router)
	interfaceBefore := link(lab.Router, "syntap0")
	open := dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7002"))
	echo(t, open)

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for ctx.Err() == nil {
				served.exchange(ctx, lab, address)
			}
		})
	}
	rounds := scaled(2, 200)
	for range rounds {
		served.wait(t, 50)
		r.killRouter(t)
	}
	served.wait(t, 50)
	cancel()
	clients.Wait()
	_ = open.SetDeadline(time.Now().Add(tuntest.Patience))
	_, err := open.Write([]byte("hello")) // a keepalive probe may have had the reset before
	if err == nil {
		_, err = open.Read(make([]byte, 5))
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a connection of a router that has died: %v, want %v", err, unix.ECONNRESET)
	}
	if got := link(lab.Router, "syntap0"); got != interfaceBefore {
		t.Errorf("interface %s, want %s, to the end", got, interfaceBefore)
	}
	if got := leaks(); got != "" {
		t.Errorf("this left the host past the router:\n%s", got)
	}
	end()
	if n := strings.Count(r.Stderr(), `msg="the router has died`); n != rounds {
		t.Errorf("the log has %d routers that died, want %d", n, rounds)
	}
	r.stop(t, unix.SIGTERM)
	checkServed(t, r, served.take())
}

// wait waits for some more ends than there are.
func (e *ends) wait(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.all)
	}
	before := count()
	tuntest.Wait(t, "connections", func() bool { return count() >= before+n })
}

// checkServed looks for all ends that have received a byte in the log.
func checkServed(t *testing.T, r *router, all []string) {
	t.Helper()
	recorded := make(map[string]int)
	for _, record := range r.records(t) { // checks lines and numbers
		if record.Outcome == "established" {
			recorded["client "+net.JoinHostPort(record.Src, strconv.Itoa(record.Sport))]++
			recorded["router "+record.Upstream.Local]++
		}
	}
	for _, end := range all {
		if recorded[end]--; recorded[end] < 0 {
			t.Errorf("%s has received a byte and is not in the log", end)
		}
	}
}

// TestReplacedHasConfigInForce kills a router whose config file is wrong by then: the next one has
// the config that was in force.
func TestReplacedHasConfigInForce(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveEcho(lab.Server, ":7000")
	r := run(t, lab.Router, "syntap0", everything)
	if said := r.reload(t, everything+"egress: {rules: [{ports: [7001], verdict: deny}]}\n"); !strings.Contains(said, "config reloaded") {
		t.Fatalf("reload: %s", said)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "syntap.yaml"), []byte("mtu: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.killRouter(t)
	echo(t, dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7000")))
	ctx, cancel := timeout()
	defer cancel()
	if conn, err := lab.Router.Dial(ctx, "tcp", net.JoinHostPort(tuntest.ServerAddr4, "7001")); err == nil {
		conn.Close()
		t.Error("a connection that the config in force denies")
	} else if !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a connection that the config in force denies: %v", err)
	}
	r.wait(t, "a record of the denial", func() bool {
		return strings.Contains(r.read(t, "handshakes.json"), `"dport":7001`)
	})
	if !strings.Contains(r.read(t, "handshakes.json"), `"denied"`) {
		t.Errorf("the log has no denial: %s", r.read(t, "handshakes.json"))
	}
	r.stop(t, unix.SIGTERM)
}

// TestKeeperTakesRouterAlong kills the process that keeps the host: the router ends with it, and
// its interface.
func TestKeeperTakesRouterAlong(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	routed := r.routerPID(t)
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "the router to end", func() bool {
		_, err := os.Stat("/proc/" + strconv.Itoa(routed))
		return errors.Is(err, os.ErrNotExist)
	})
	r.ended(t, "SIGKILL")
	if got := link(lab.Router, "syntap0"); got != "" {
		t.Errorf("interface %s is left", got)
	}
	lab.Router.Run(binary, "cleanup")
}

// TestStoppedRouterIsNoSignOfLife stops the process that reads packets: the service manager is told
// no more that the service is alive, until the process goes on.
func TestStoppedRouterIsNoSignOfLife(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(r.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	r.Process = lab.Router.Start("env", "NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=100000",
		binary, "run", "-c", r.writeConfig(t, everything))
	alive := func(within time.Duration) bool {
		t.Helper()
		buf := make([]byte, 100)
		for deadline := time.Now().Add(within); time.Now().Before(deadline); {
			_ = manager.SetReadDeadline(deadline)
			if n, err := manager.Read(buf); err == nil && string(buf[:n]) == "WATCHDOG=1" {
				return true
			}
		}
		return false
	}
	if !alive(tuntest.Patience) {
		t.Fatal("no sign of life")
	}
	routed := r.routerPID(t)
	if err := unix.Kill(routed, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "signs of life to end", func() bool { return !alive(300 * time.Millisecond) })
	if err := unix.Kill(routed, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !alive(tuntest.Patience) {
		t.Error("no sign of life after the process goes on")
	}
	r.stop(t, unix.SIGTERM)
}

// TestEndCountsAllRouters kills a router. The last record of the run counts the frames of all of
// them, and verify finds the log whole, and says which frames no router has counted.
func TestEndCountsAllRouters(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "format: json,", "format: json, chain: true,", 1))
	for range 2 {
		lab.Router.Run("curl", "-sS", urls()[0])
		r.killRouter(t)
	}
	link, err := lab.Router.Netlink.LinkByName("syntap0")
	if err != nil {
		t.Fatal(err)
	}
	before := link.Attrs().Statistics.TxPackets
	lab.Router.Run("curl", "-sS", urls()[0])
	r.stop(t, unix.SIGTERM)
	all := strings.Split(strings.TrimSpace(r.read(t, "handshakes.json")), "\n")
	var last struct {
		Msg    string
		Frames struct{ Read, Accounted, Died uint64 }
	}
	if err := json.Unmarshal([]byte(all[len(all)-1]), &last); err != nil {
		t.Fatal(err)
	}
	f := last.Frames
	if last.Msg != "end" || f.Died == 0 || f.Died > before || f.Read <= before || f.Read != f.Accounted+f.Died {
		t.Errorf("the run ends with %s, want all frames, of which at most %d are of routers that died", all[len(all)-1], before)
	}
	got := command(t, lab.Router, binary, "verify", filepath.Join(r.dir, "handshakes.json"))
	want := fmt.Sprintf("all %d frames of the TUN are accounted for, but for %d that were read by routers which died\n", f.Read, f.Died)
	if got.status != 0 || !strings.Contains(got.stdout, "1 run is complete: ") || !strings.Contains(got.stdout, want) {
		t.Errorf("verify: %+v, want %q", got, want)
	}
}
