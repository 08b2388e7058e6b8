package e2e_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// failing has the system calls on the router's log fail until the function that it returns is
// called; strace makes them fail.
//
// A file system cannot be remounted read-only while a log on it is open (EBUSY), and one that the
// kernel has made read-only cannot be remounted at all: see TestReadOnlyFileSystem.
func (r *router) failing(t *testing.T, lab *tuntest.Lab, inject string) (mend func()) {
	t.Helper()
	call, _, _ := strings.Cut(inject, ":")
	strace := lab.Router.Start("strace", "-f", "-o", "/dev/null", "-p", fmt.Sprint(r.PID()), "-P", r.dir+"/handshakes.json", "-e", "trace="+call, "-e", "inject="+inject)
	tuntest.Wait(t, "strace", func() bool { return strings.Contains(strace.Stderr(), " attached") })
	return func() {
		if err := strace.Signal(unix.SIGINT); err != nil {
			t.Fatal(err)
		}
		<-strace.Done()
	}
}

// TestFailingDisk has a disk that is read-only, or fails, for a while.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "strace")
	policies := map[string]func(t *testing.T, lab *tuntest.Lab, r *router, inject, message string){
		"suspend": testSuspended, "count": testCounted, "stop": testStopped,
	}
	for _, disk := range []struct{ name, sink, inject, message string }{
		{"read-only", "", "write:error=EROFS", "write log DIR/handshakes.json: read-only file system"},
		{"failing", ", sync: true", "fsync:error=EIO", "sync DIR/handshakes.json: input/output error"},
	} {
		for policy, test := range policies {
			t.Run(disk.name+"/"+policy, func(t *testing.T) {
				t.Parallel()
				lab := tuntest.NewLab(t)
				r := run(t, lab.Router, "syntap0", fmt.Sprintf(`
tun: {name: syntap0}
tap: {timeout: 2s, log: [{format: json, path: DIR/handshakes.json, on_full: %s%s}]}
http: {listen: "%s"}
`, policy, disk.sink, viewAddress))
				test(t, lab, r, disk.inject, strings.ReplaceAll(disk.message, "DIR", r.dir))
			})
		}
	}
}

func testSuspended(t *testing.T, lab *tuntest.Lab, r *router, inject, message string) {
	var mend func()
	withoutLog(t, lab, r, func() { mend = r.failing(t, lab, inject) }, func() {
		metrics := lab.Router.Run("curl", "-sS", "http://"+viewAddress+"/metrics")
		for _, reason := range []string{"waiting", "refused"} {
			if !regexp.MustCompile(`\nsyntap_drops_total{reason="` + reason + `"} [1-9]`).MatchString(metrics) {
				t.Errorf("metrics do not show SYNs %s", reason)
			}
		}
		if got := command(t, lab.Router, binary, "status", "--at", viewAddress); !strings.Contains(got.stdout, " SYNs kept out while it could not be written\n") {
			t.Errorf("status: %+v, want SYNs kept out", got)
		}
		mend()
	})
	checkSuspended(t, r, r.carried(t))
	r.checkReports(t, message)
}

// checkReports looks for the messages in the program's own log about a time in which records could
// not be written, once each.
func (r *router) checkReports(t *testing.T, message string) {
	t.Helper()
	for _, want := range []string{"handshake log cannot be written", "handshake log is written again", message} {
		if n := strings.Count(r.Stderr(), want); n != 1 {
			t.Errorf("%d times %q in what the router said, want once", n, want)
		}
	}
}

// testCounted: no client waits, lost records are counted and announced, and numbers go on without
// them.
func testCounted(t *testing.T, lab *tuntest.Lab, r *router, inject, message string) {
	const each = 20
	serveEchoes(lab)
	connectEchoes(t, lab, each)
	r.waitRecords(t, each)
	mend := r.failing(t, lab, inject)
	connections := 3 * each
	r.wait(t, "the log to fail", func() bool {
		connectEchoes(t, lab, 1)
		connections++
		return strings.Contains(r.Stderr(), message)
	})
	connectEchoes(t, lab, each)
	mend()
	connectEchoes(t, lab, each)
	var log string
	r.wait(t, "word of all connections and their ends", func() bool {
		log = r.read(t, "handshakes.json")
		return strings.Count(log, `"outcome":`)+strings.Count(log, `"msg":"flow"`)+lostIn(log) == 2*connections
	})
	for _, record := range parseRecords(t, log) { // checks the numbers
		if record.Message == "gap" && record.Reason != "write_error" {
			t.Errorf("gap %+v", record)
		}
	}
	if established, lost := total(establishedIn(t, log)), lostIn(log); lost == 0 || established < 2*each {
		t.Errorf("%d records lost and %d established connections in the log, want some and at least %d", lost, established, 2*each)
	}
	r.stop(t, unix.SIGTERM)
	r.checkReports(t, message)
}

var lostRecords = regexp.MustCompile(`"lost":(\d+)`)

// lostIn returns how many records a log says are not in it.
func lostIn(log string) (sum int) {
	for _, m := range lostRecords.FindAllStringSubmatch(log, -1) {
		n, _ := strconv.Atoi(m[1])
		sum += n
	}
	return sum
}

func testStopped(t *testing.T, lab *tuntest.Lab, r *router, inject, message string) {
	serveEchoes(lab)
	connectEchoes(t, lab, 1)
	r.failing(t, lab, inject)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			new(ends).exchange(ctx, lab, net.JoinHostPort(tuntest.ServerAddr4, "7000"))
		}
	}()
	r.ended(t, "a record could not be written")
	cancel()
	<-done
	if said := r.Stderr(); r.Err() == nil || !strings.Contains(said, "syntap: "+message) {
		t.Errorf("router ended with %v and said\n%s", r.Err(), said)
	}
}

// TestReadOnlyFileSystem has the kernel make the file system of the log read-only, as it does after
// an error of the disk. The way back is another one in its place, and SIGHUP.
func TestReadOnlyFileSystem(t *testing.T) {
	if !soak() {
		t.Skip("takes a loop device of the machine")
	}
	requireTools(t, "findmnt", "mkfs.ext4")
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {timeout: 2s, log: [{format: json, path: DIR/disk/handshakes.json}]}
`)
	r.Process = lab.Router.Start("unshare", "--mount", "sh", "-ec", fmt.Sprintf(`
cd %s
mkdir disk
truncate -s 32M image
mkfs.ext4 -q image
mount -o loop,errors=remount-ro image disk
exec %s run -c %s`, r.dir, binary, config))
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	log := fmt.Sprintf("/proc/%d/root%s/disk/handshakes.json", r.PID(), r.dir) // as the router sees it
	read := func() []byte {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	inMounts := func(script string) {
		lab.Router.Run("nsenter", "--mount", "--target", fmt.Sprint(r.PID()), "sh", "-ec", "cd "+r.dir+"\n"+script)
	}
	var before []byte
	withoutLog(t, lab, r, func() {
		inMounts(`echo 1 >/sys/fs/ext4/$(basename $(findmnt -no SOURCE disk))/trigger_fs_error`)
	}, func() {
		before = read()
		inMounts(`umount --lazy disk; mount -t tmpfs -o mode=755 tmpfs disk`)
		if err := r.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
	})
	if err := os.WriteFile(filepath.Join(r.dir, "handshakes.json"), slices.Concat(before, read()), 0o600); err != nil {
		t.Fatal(err)
	}
	checkSuspended(t, r, r.carried(t))
	r.checkReports(t, "write log "+r.dir+"/disk/handshakes.json: read-only file system")
}
