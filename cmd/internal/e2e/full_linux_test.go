package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// Logs that cannot be written: established connections go on, new ones wait and are then refused,
// nothing is lost, and when the log can be written again so does everything else.

// TestDiskFull fills the disk of the log, a small tmpfs in a mount namespace of the router's own.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	disk := filepath.Join(r.dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {timeout: 2s, log: [{format: json, path: DIR/disk/handshakes.json}]}
`)
	r.Process = lab.Router.Start("unshare", "--mount", "sh", "-c",
		fmt.Sprintf("mount -t tmpfs -o size=256k,mode=755 tmpfs %s && exec %s run -c %s", disk, binary, config))
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	disk = fmt.Sprintf("/proc/%d/root%s", r.PID(), disk) // as the router sees it
	filler := filepath.Join(disk, "filler")

	withoutLog(t, lab, r, func() {
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := io.Copy(f, zeros{}); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("fill the disk: %v", err)
		}
	}, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
	b, err := os.ReadFile(filepath.Join(disk, "handshakes.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "handshakes.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	checkSuspended(t, r, r.carried(t))
}

// TestStoppedReader writes the log into a pipe without a reader.
func TestStoppedReader(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	fifo := filepath.Join(r.dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if _, err := unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {timeout: 2s, log: [{format: json, path: "-"}]}
`)
	r.Process = lab.Router.Start("sh", "-c", fmt.Sprintf("exec %s run -c %s >%s", binary, config, fifo))
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	log, err := os.Create(filepath.Join(r.dir, "handshakes.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	withoutLog(t, lab, r, func() {}, func() {
		go func() { _, _ = io.Copy(log, pipe) }()
	})
	carried := r.carried(t)
	tuntest.Wait(t, "the log's end", func() bool { return strings.Contains(r.read(t, "handshakes.json"), `"msg":"end"`) })
	checkSuspended(t, r, carried)
}

// TestLogReplaced puts a link, to a file that is not to be touched, in the place of the log.
func TestLogReplaced(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	path, precious := filepath.Join(r.dir, "handshakes.json"), filepath.Join(r.dir, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, `
tun: {name: syntap0}
tap: {timeout: 2s, log: [{format: json, path: DIR/handshakes.json}]}
`))
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	withoutLog(t, lab, r, func() {
		r.waitRecords(t, 1)
		if err := errors.Join(os.Rename(path, path+".1"), os.Symlink(precious, path)); err != nil {
			t.Fatal(err)
		}
	}, func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
	carried := r.carried(t)
	if got := r.read(t, "precious"); got != "precious" {
		t.Errorf("the target of the link is %q", got)
	}
	whole := r.read(t, "handshakes.json.1") + r.read(t, "handshakes.json")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	checkSuspended(t, r, carried)
	if !strings.Contains(r.Stderr(), "it is a symbolic link") {
		t.Errorf("the router does not say what is wrong: %s", r.Stderr())
	}
}

// TestOneWriter starts a second program on a log that one writes.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	for _, log := range []string{"handshakes.json", "handshakes.txt"} {
		path := filepath.Join(r.dir, log)
		got := command(t, lab.Server, binary, "exec", "-o", path, "--", "true")
		want := fmt.Sprintf("syntap: open log %s: process %d writes it\nhint: give each its own file, or stop the other\n", path, r.PID())
		if got.status != 1 || got.stderr != want {
			t.Errorf("a second program on %s: %+v\nwant %s", log, got, want)
		}
	}
	r.stop(t, unix.SIGTERM)
	if got := command(t, lab.Server, binary, "exec", "-o", filepath.Join(r.dir, "handshakes.json"), "--", "true"); got.status != 0 {
		t.Errorf("a program after the first has ended: %+v", got)
	}
}

// withoutLog has a connection open while the log fails, makes others until they are refused, and
// then has the log work again.
func withoutLog(t *testing.T, lab *tuntest.Lab, r *router, fail, mend func()) {
	t.Helper()
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	go serveAll(lab.Server.Listen("tcp", address), func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
	established := dial(t, lab.Router, address)
	echo(t, established)
	fail()
	used := r.cpu(t)
	start := time.Now()
	var refused error
	tuntest.Wait(t, "connections to be refused", func() bool {
		ctx, cancel := timeout()
		defer cancel()
		conn, err := lab.Router.Dial(ctx, "tcp", address)
		if err == nil { // the last to be let in gets no answer before its record can be written
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
			_, _ = conn.Write([]byte("x"))
			_, _ = io.ReadFull(conn, make([]byte, 1))
		}
		echo(t, established)
		refused = err
		return err != nil
	})
	if !errors.Is(refused, unix.EHOSTUNREACH) {
		t.Errorf("connection while the log fails: %v, want %v", refused, unix.EHOSTUNREACH)
	}
	if took, used := time.Since(start), r.cpu(t)-used; took > time.Second && used > took/4 {
		t.Errorf("%v of CPU in %v while the log fails", used, took)
	}
	mend()
	var conn net.Conn
	tuntest.Wait(t, "a connection", func() bool {
		ctx, cancel := timeout()
		defer cancel()
		var err error
		conn, err = lab.Router.Dial(ctx, "tcp", address)
		return err == nil
	})
	echo(t, conn)
	conn.Close()
	echo(t, established)
}

// cpu returns how much of a processor the router has used.
func (r *router) cpu(t *testing.T) time.Duration {
	t.Helper()
	var used int64 // in hundredths of a second
	for _, pid := range []int{r.PID(), r.routerPID(t)} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(b), ") ") // behind the name
		var user, system int64
		if _, err := fmt.Sscanf(strings.Join(strings.Fields(after)[11:13], " "), "%d %d", &user, &system); err != nil {
			t.Fatal(err)
		}
		used += user + system
	}
	return time.Duration(used) * 10 * time.Millisecond
}

// checkSuspended looks for every established connection that a router has carried, and for the
// log's account of the others.
func checkSuspended(t *testing.T, r *router, carried map[string]int) {
	t.Helper()
	established, gaps := 0, 0
	for _, record := range r.records(t) {
		switch {
		case record.Outcome == "established":
			established++
		case record.Message == "gap":
			gaps++
			if record.Reason != "suspended" || record.Refused != carried["drop_waiting"]+carried["drop_refused"] {
				t.Errorf("gap %+v, but %d SYNs had to wait and %d were refused", record, carried["drop_waiting"], carried["drop_refused"])
			}
		}
	}
	if gaps != 1 || carried["drop_refused"] == 0 {
		t.Errorf("%d gaps announced, carried %v, want one gap and refused SYNs", gaps, carried)
	}
	if established != carried["established"] || established < 2 {
		t.Errorf("%d established connections in the log, want %d and at least 2", established, carried["established"])
	}
}
