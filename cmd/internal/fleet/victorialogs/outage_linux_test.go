package victorialogs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/tun/tuntest"
)

// soak reports whether long tests are wanted.
func soak() bool { return os.Getenv("SYNTAP_SOAK") != "" }

// quick are times by which a proof takes a third of its usual time, for stores that write each
// second.
var quick = fleet.Times{
	Proof: 10 * time.Second, Poll: 20 * time.Millisecond, MostRetry: time.Second,
}

const writesEachSecond = "-inmemoryDataFlushInterval=1s"

// The store is away while the log outgrows the files that rotation keeps: the spool keeps them, the
// store gets all of them in the end, and then they go. In a soak that is an hour of 3,000 records a
// second, which are written as fast as the disk takes them.
func TestOutage(t *testing.T) {
	t.Parallel()
	records, times, size := 20_000, quick, int64(1<<20)
	v := fleettest.StartVictoriaLogs(t, writesEachSecond)
	if soak() {
		records, times, size = 3_000*3_600, fleet.Times{}, 100<<20
	}
	const keep = 3
	r := routerlog.NewRouter(t, routerlog.RouterOptions{
		Name: "gate", Open: clients(t, v.URL), Times: times, MaxSize: size, MaxFiles: keep,
	})
	r.Write(1000)
	r.Proven(time.Minute + tuntest.Patience)
	v.Kill()
	for left := records; left > 0; left -= 5_000 {
		r.Write(min(left, 5_000))
	}
	files := func() []string {
		all, err := filepath.Glob(filepath.Join(filepath.Dir(r.Path), "handshakes-*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	waitLong(t, "compression", func() bool {
		for _, file := range files() {
			if strings.HasSuffix(file, ".json") {
				return false
			}
		}
		return true
	})
	kept := len(files())
	if kept <= keep {
		t.Errorf("%d rotated files while the store lacks their records, want more than %d", kept, keep)
	}
	if now := r.Stats(); now.SpoolBytes == 0 || now.Behind < uint64(records) {
		t.Errorf("stats while the store is away: %+v", now)
	}
	debug.FreeOSMemory()
	resetPeak(t)
	used, began := cpu(), time.Now()
	v.Start()
	r.Proven(time.Hour)
	used = cpu() - used
	t.Logf("%d records of %d files in %v: %.1f µs of processor each, %d MiB at most", records, kept,
		time.Since(began).Round(time.Second), float64(used.Microseconds())/float64(records), peak(t)>>20)
	r.Whole(tuntest.Patience)
	for range 2 * int(size>>20) { // a MiB has some 650 records
		r.Write(1000)
	}
	waitLong(t, "the end of old files", func() bool {
		return len(files()) <= keep+2 // and those whose records are not proven yet
	})
}

// waitLong waits for a condition that takes minutes of a soak.
func waitLong(t *testing.T, condition string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Minute); !cond(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", condition)
		}
	}
}

// resetPeak has the most memory that this process has had begin anew (proc(5), clear_refs).
func resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// peak returns the most memory that this process has had, in bytes.
func peak(t *testing.T) (size int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	if _, err := fmt.Sscan(string(after), &size); err != nil {
		t.Fatal(err)
	}
	return size << 10
}

// A store that is restored from an older copy of its disk, while records are on their way, gets
// those again that the copy lacks.
func TestRestoredCopy(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	v := fleettest.StartVictoriaLogs(t, writesEachSecond, "-storageDataPath="+dir)
	r := newRouter(t, "gate", v.URL, quick)
	r.Write(1000)
	r.Proven(time.Minute + tuntest.Patience)
	v.Kill()
	older := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(older, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	v.Start()
	r.Write(2000)
	r.Proven(time.Minute + tuntest.Patience)
	v.Kill()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	r.Write(10)
	tuntest.Wait(t, "the failure", func() bool { return r.Stats().Error != "" })
	v.Start()
	r.Whole(time.Minute + tuntest.Patience)
}

// The disk of a store runs full, first so that the store sees it come, and then at once, by another
// program: the store has each record once when there is room again.
func TestDiskFull(t *testing.T) {
	if !soak() {
		t.Skip("needs SYNTAP_SOAK=1: it mounts a file system on this host")
	}
	t.Parallel()
	dir := t.TempDir()
	mount := func(flags uintptr, size string) {
		t.Helper()
		if err := unix.Mount("syntap-test", dir, "tmpfs", flags, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
	mount(0, "24m")
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	v := fleettest.StartVictoriaLogs(t, writesEachSecond, "-storageDataPath="+filepath.Join(dir, "data"))
	r := newRouter(t, "gate", v.URL, quick)
	waitLong(t, "the refusal", func() bool {
		r.Write(2000)
		return strings.Contains(r.Stats().Error, "429")
	})
	t.Logf("full at %d records", r.Last())
	mount(unix.MS_REMOUNT, "200m")
	r.Whole(10 * time.Minute)

	ballast := filepath.Join(dir, "ballast")
	for round := range 5 {
		before := r.Stats().Records
		r.Write(3000)
		tuntest.Wait(t, "records on their way", func() bool { return r.Stats().Records > before })
		fill(t, ballast)
		r.Write(20_000)
		tuntest.Wait(t, "the failure", func() bool { return r.Stats().Error != "" })
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: the store has crashed: %t", round, v.Ended())
		v.Kill()
		v.Start()
		r.Whole(10 * time.Minute)
	}
}

// fill makes a file that takes all that is left of a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if !strings.Contains(err.Error(), unix.ENOSPC.Error()) {
		t.Fatal(err)
	}
}
