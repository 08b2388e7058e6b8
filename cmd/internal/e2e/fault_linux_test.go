package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// Failures of the host: the client must never see an answer that the far side has not given.

// TestDescriptorsExhausted gives the router too few descriptors for its connections.
func TestDescriptorsExhausted(t *testing.T) {
	t.Parallel()
	requireTools(t, "prlimit")
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	r.Process = lab.Router.Start("prlimit", "--nofile=256:256", binary, "run", "-c", r.writeConfig(t, everything))
	r.wait(t, "a route", func() bool { return enters(lab.Router, tuntest.ServerAddr4, "syntap0") })

	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	const clients = 1000
	results := connectAll(t, lab.Router, clients, &unix.SockaddrInet4{Port: 7000, Addr: [4]byte{203, 0, 113, 2}}, func(connected int) bool { return connected >= 150 })
	if results.failed > 0 || results.connected < 150 || results.connected > 256 {
		t.Errorf("connected %d, failed %d, want between 150 and 256 and none: the rest waits", results.connected, results.failed)
	}
	echo(t, dial(t, lab.Router, address)) // those before have gone
	for _, want := range []string{"the limit of open files is below limits.tcp_flows", "no descriptors left"} {
		if n := strings.Count(r.Stderr(), want); n != 1 {
			t.Errorf("said %d times that %s, want once", n, want)
		}
	}
	carried := r.carried(t)
	if carried["failed_EMFILE"] == 0 || carried["refused"]+carried["unreachable"] > 0 {
		t.Errorf("carried %v, want failed_EMFILE and no false answers", carried)
	}
}

// TestDescriptorsFewForExec says at the start of a command that there are few, and nothing else.
func TestDescriptorsFewForExec(t *testing.T) {
	t.Parallel()
	requireTools(t, "prlimit")
	ns := tuntest.NewNamespace(t)
	got := command(t, ns, "prlimit", "--nofile=256:256", binary, "exec", "--", "true")
	if got.status != 0 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "the limit of open files is below limits.tcp_flows") {
		t.Errorf("exec with a limit of 256: %+v, want one line about it", got)
	}
}

// TestPortsExhausted leaves the router a hundred ports for its sockets.
func TestPortsExhausted(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	lab.Router.Sysctl("net.ipv4.ip_local_port_range", "50000 50099")
	r := run(t, lab.Router, "syntap0", `
tun: {name: syntap0, sources: [host, 192.0.2.0/24]}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	for _, port := range []string{"7000", "7001"} {
		serveEcho(lab.Server, net.JoinHostPort(tuntest.ServerAddr4, port))
	}
	results := connectAll(t, lab.Client, 300, &unix.SockaddrInet4{Port: 7000, Addr: [4]byte{203, 0, 113, 2}}, func(connected int) bool { return connected >= 100 })
	if results.connected != 100 || results.failed > 0 {
		t.Errorf("connected %d, failed %d, want 100 and none", results.connected, results.failed)
	}
	echo(t, dial(t, lab.Client, net.JoinHostPort(tuntest.ServerAddr4, "7001"))) // another destination
	carried := r.carried(t)
	if carried["failed_EADDRNOTAVAIL"] == 0 || carried["refused"]+carried["unreachable"] > 0 {
		t.Errorf("carried %v, want failed_EADDRNOTAVAIL and no false answers", carried)
	}
}

type connectResults struct{ connected, failed int }

// connectAll starts n connections at once, waits until enough have been made, and tells how they
// are. Then it ends them.
func connectAll(t *testing.T, ns *tuntest.Namespace, n int, to unix.Sockaddr, enough func(connected int) bool) connectResults {
	t.Helper()
	polls := make([]unix.PollFd, n)
	err := ns.Do(func() error {
		for i := range polls {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			polls[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
			if err := unix.Connect(fd, to); !errors.Is(err, unix.EINPROGRESS) {
				return fmt.Errorf("connect: %w", err)
			}
		}
		return nil
	})
	defer func() {
		for _, p := range polls {
			_ = unix.Close(int(p.Fd))
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	var r connectResults
	tuntest.Wait(t, "connections", func() bool {
		_, err := unix.Poll(polls, 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
		r = connectResults{}
		for _, p := range polls {
			switch {
			case p.Revents&(unix.POLLERR|unix.POLLHUP) != 0:
				r.failed++
			case p.Revents&unix.POLLOUT != 0:
				r.connected++
			}
		}
		return enough(r.connected)
	})
	return r
}

// TestUplinkFlaps takes the way out and gives it back. Right after that connections work again, and
// those from before do.
func TestUplinkFlaps(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	serveEcho(lab.Server, address)
	before := dial(t, lab.Router, address)
	echo(t, before)
	wan := lab.Router.Link("wan0")
	var slowest time.Duration
	flaps := scaled(3, 20)
	for range flaps {
		if err := lab.Router.Netlink.LinkSetDown(wan); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if conn, err := lab.Router.Dial(ctx, "tcp", address); err == nil {
			conn.Close()
			t.Error("a connection without a way out")
		}
		cancel()
		if err := lab.Router.Netlink.LinkSetUp(wan); err != nil {
			t.Fatal(err)
		}
		tuntest.Wait(t, "the link", func() bool { return lab.Router.Link("wan0").Attrs().OperState == netlink.OperUp })
		lab.Router.AddRoute("0.0.0.0/0", "198.51.100.2") // went with the link
		start := time.Now()
		echo(t, dial(t, lab.Router, address))
		slowest = max(slowest, time.Since(start))
	}
	echo(t, before)
	reportf(t, "%d times down and up: connected again after %v at most", flaps, slowest)
	if carried := r.carried(t); carried["refused"] > 0 || carried["aborted"] > 0 {
		t.Errorf("carried %v, want no false answers", carried)
	}
}

// TestOneFamily routes on hosts that have only one of IPv4 and IPv6.
func TestOneFamily(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	for i, name := range []string{"IPv4", "IPv6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			if i == 0 {
				lab.Router.Sysctl("net.ipv6.conf.all.disable_ipv6", "1")
			} else {
				for _, link := range []string{"wan0", "lan0"} {
					lab.Router.Run("ip", "-4", "address", "flush", "dev", link)
				}
			}
			r := run(t, lab.Router, "syntap0", everything)
			if got := lab.Router.Run("curl", "-sS", urls()[i]); !strings.HasPrefix(got, "hello, ") {
				t.Errorf("curl %s printed %q", urls()[i], got)
			}
			if got := command(t, lab.Router, "curl", "-sS", "--connect-timeout", "20", urls()[1-i]); got.status != 7 {
				t.Errorf("curl %s: %+v, want exit status 7 at once: there is no way", urls()[1-i], got)
			}
			carried := r.carried(t)
			if strings.Contains(r.Stderr(), "level=warning") || strings.Contains(r.Stderr(), "level=error") {
				t.Errorf("the router complains:\n%s", r.Stderr())
			}
			if carried["established"] != 1 {
				t.Errorf("carried %v, want one established", carried)
			}
		})
	}
}

// TestLinkScope sends packets that do not leave a link: they are no error, and no message comes of
// them.
func TestLinkScope(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, to := range []string{"[ff02::fb%syntap0]:5353", "[ff02::1:2%syntap0]:547", "224.0.0.251:5353"} {
		if strings.HasPrefix(to, "224.") {
			lab.Router.Run("ip", "route", "add", "224.0.0.0/4", "dev", "syntap0")
		}
		conn, err := lab.Router.Dial(t.Context(), "udp", to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprint(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	// Frames are handled in their order: when this one is answered those before have been handled.
	if got := command(t, lab.Router, "curl", "-sS", urls()[0]); got.status != 7 {
		t.Errorf("curl to a closed port: %+v, want exit status 7", got)
	}
	carried := r.carried(t)
	if carried["drop_link_scope"] < 3 {
		t.Errorf("carried %v, want at least three drop_link_scope", carried)
	}
	if lines := strings.Count(r.Stderr(), "\n") - strings.Count(r.Stderr(), "tun.sources lacks it"); lines != 3 {
		t.Errorf("the router has said more than that it began and ended:\n%s", r.Stderr())
	}
}

// TestCannotStart starts routers where something is missing: each names it, and the cure, and
// leaves nothing behind.
func TestCannotStart(t *testing.T) {
	t.Parallel()
	requireTools(t, "prlimit", "unshare")
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything)
	before := lab.Router.State()
	for _, tt := range []struct {
		name    string
		wrapper []string
		hint    string
	}{
		{"few descriptors", []string{"prlimit", "--nofile=8:8"}, "LimitNOFILE="},
		{"one descriptor less than the fewest", []string{"prlimit", "--nofile=63:63"}, "LimitNOFILE="},
		{"little address space", []string{"prlimit", "--as=2000000000"}, "ulimit -v"},
		{"no place for the journal", []string{"env", "RUNTIME_DIRECTORY=/proc/nothing"}, "RUNTIME_DIRECTORY"},
		{"no /proc", []string{"unshare", "--mount", "sh", "-c", `umount -l /proc && exec "$@"`, "sh"}, "mount -t proc"},
		{"another device for the TUN", []string{"unshare", "--mount", "sh", "-c", `mount --bind /dev/null /dev/net/tun && exec "$@"`, "sh"}, "mknod /dev/net/tun"},
	} {
		args := append(tt.wrapper[1:], binary, "run", "-c", config)
		got := command(t, lab.Router, tt.wrapper[0], args...)
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		if n := len(lines); got.status != 1 || n < 2 || !strings.HasPrefix(lines[n-2], "syntap: ") || !strings.HasPrefix(lines[n-1], "hint: ") || !strings.Contains(lines[n-1], tt.hint) {
			t.Errorf("%s: %+v, want an error and a hint with %q", tt.name, got, tt.hint)
		}
		if diff := cmp.Diff(before, lab.Router.State()); diff != "" {
			t.Errorf("%s: left behind (-before +after):\n%s", tt.name, diff)
		}
	}
}
