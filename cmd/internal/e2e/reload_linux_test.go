package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// reload has the router read another config and returns its messages about that.
func (r *router) reload(t *testing.T, config string) (said string) {
	t.Helper()
	r.writeConfig(t, config)
	before := r.Stderr()
	if err := r.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "an answer to SIGHUP", func() bool {
		said = strings.TrimPrefix(r.Stderr(), before)
		return strings.Contains(said, "reloaded") && strings.HasSuffix(said, "\n")
	})
	return said
}

// TestReload changes the config under a running transfer: values that may change do, a file that
// cannot be used changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	serveEcho(lab.Server, ":7000")
	before := lab.Router.State()
	r := run(t, lab.Router, "syntap0", everything)
	transfer := startTransfer(t, lab, net.JoinHostPort(tuntest.ServerAddr4, "7000"))
	r.waitRecords(t, 1)

	// open makes a connection and returns its record, the n-th in the log.
	open := func(url string, log string, n int) record {
		t.Helper()
		command(t, lab.Router, "curl", "-sS", "--connect-timeout", "30", url)
		var all []record
		r.wait(t, fmt.Sprintf("record %d in %s", n, log), func() bool {
			all = parseRecords(t, r.read(t, log))
			return len(all) >= n
		})
		return all[n-1]
	}
	// clamped checks that each SYN and SYN-ACK of a handshake, which a machine that stalls repeats,
	// has its MSS rewritten.
	clamped := func(r record, to value) bool {
		n := 0
		for _, line := range r.Lines {
			n += strings.Count(line, "Flags [S")
		}
		for _, w := range r.Rewrites {
			if w.To != to {
				return false
			}
		}
		return n >= 2 && len(r.Rewrites) == n
	}
	// text waits for the lines of the handshakes from one to another in a text log.
	text := func(log string, from, to int) {
		t.Helper()
		var want strings.Builder
		for _, record := range r.records(t)[from-1 : to] {
			for _, line := range record.Lines {
				want.WriteString(line + "\n")
			}
		}
		r.wait(t, fmt.Sprintf("the lines of handshakes %d to %d in %s", from, to, log), func() bool {
			return r.read(t, log) == want.String()
		})
	}
	clamp := func(config, to string) string { return config + "\nmss: [{clamp: " + to + "}]\n" }

	if got := open(urls()[0], "handshakes.json", 2); len(got.Rewrites) != 0 {
		t.Errorf("record before the reload: %+v, want no rewrites", got)
	}
	r.reload(t, clamp(everything, "1200"))
	if got := open(urls()[0], "handshakes.json", 3); !clamped(got, "1200") || got.Upstream.MSS != 1200 {
		t.Errorf("record with mss 1200: %+v, want it in the rewrites and upstream", got)
	}

	denying := clamp(everything, "1200") + "egress: {deny: [" + tuntest.ServerAddr4 + "/32]}\n"
	r.reload(t, denying)
	if got := open(urls()[0], "handshakes.json", 4); got.Outcome != "denied" {
		t.Errorf("record of a destination denied: %+v", got)
	}
	if got := open(urls()[1], "handshakes.json", 5); got.Outcome != "established" {
		t.Errorf("record of another destination: %+v", got)
	}

	elsewhere := strings.ReplaceAll(everything, "handshakes.txt", "other.txt")
	r.reload(t, clamp(elsewhere, "1300")+"log: {format: json}\n")
	if got := open(urls()[0], "handshakes.json", 6); got.Outcome != "established" { // its numbers are checked with every reading
		t.Errorf("record in the log that went on: %+v", got)
	}
	text("handshakes.txt", 1, 5)
	text("other.txt", 6, 6)

	// A config that cannot be put in force as a whole is not at all.
	for name, tt := range map[string]struct{ config, want string }{
		"mistake":           {clamp(elsewhere, "1"), "syntap.yaml:9:15: mss[0].clamp: "},
		"needs a restart":   {clamp(strings.Replace(elsewhere, "name: syntap0", "name: syntap0, mtu: 1400", 1), "1000"), "change of tun.mtu needs a restart"},
		"sink that is none": {clamp(elsewhere+"    - {format: json, path: DIR/missing/log.json}", "1000"), "no such file or directory"},
	} {
		said := r.reload(t, tt.config)
		if !strings.Contains(said, "config not reloaded, the one before stays in force") || !strings.Contains(said, tt.want) {
			t.Errorf("%s: the router said\n%swant %q", name, said, tt.want)
		}
	}
	if got := open(urls()[0], "handshakes.json", 7); !clamped(got, "1300") {
		t.Errorf("record after reloads that failed: %+v, want the clamp of the last that did not", got)
	}
	text("other.txt", 6, 7)

	// The transfer takes the only place.
	r.reload(t, everything+"limits: {tcp_flows: 1}\n")
	if got := command(t, lab.Router, "curl", "-sS", "--connect-timeout", "2", urls()[0]); got.status != 28 {
		t.Errorf("curl beyond the limit: %+v, want exit status 28", got)
	}
	r.reload(t, everything)
	lab.Router.Run("curl", "-sS", urls()[0])

	if err := transfer(); err != nil {
		t.Errorf("transfer during the reloads: %v", err)
	}
	r.stop(t, unix.SIGTERM)
	wantState(t, lab.Router, before)
}

// startTransfer sends lines to an echo server and reads them again until the function that it
// returns is called.
func startTransfer(t *testing.T, lab *tuntest.Lab, address string) (finish func() error) {
	t.Helper()
	conn, err := lab.Router.Dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		defer conn.Close()
		lines, line := bufio.NewReader(conn), strings.Repeat("x", 10_000)+"\n"
		for ctx.Err() == nil {
			err := conn.SetDeadline(time.Now().Add(tuntest.Patience))
			if err == nil {
				_, err = conn.Write([]byte(line))
			}
			var got string
			if err == nil {
				got, err = lines.ReadString('\n')
			}
			if err != nil || got != line {
				ended <- fmt.Errorf("read %d bytes of %d: %w", len(got), len(line), err)
				return
			}
		}
		ended <- nil
	}()
	return func() error {
		stop()
		return <-ended
	}
}

// TestTerminalGone runs a router at a terminal that goes away: its SIGHUP does not mean the config.
func TestTerminalGone(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	before := lab.Router.State()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &router{dir: t.TempDir()}
	ctx, cancel := timeout()
	defer cancel()
	cmd := lab.Router.Command(ctx, binary, "run", "-c", r.writeConfig(t, everything))
	cmd.Stdin = terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	for _, host := range addresses() {
		tuntest.Wait(t, "a route to "+host, func() bool { return enters(lab.Router, host, "syntap0") })
	}
	master.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("router ended with its terminal: %v, want exit status 0", err)
	}
	wantState(t, lab.Router, before)
}
