//go:build linux

package memory

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// Memory that is needed no more goes back to the system, though nothing is allocated any more that
// would have the runtime collect it.
func TestReturnMemory(t *testing.T) {
	const much = 128 << 20
	released := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapReleased
	}
	before := fill(much)
	if n := released(); n > before {
		before = n
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		Return(ctx, nil)
		close(ended)
	}()
	tuntest.Wait(t, "memory to go back", func() bool {
		return released() > before+much/2
	})
	cancel()
	tuntest.Receive(t, "end", ended)
}

// fill makes garbage of n bytes, and returns the bytes of the heap that are the system's by then.
func fill(n int) uint64 {
	all := make([][]byte, n>>20)
	for i := range all {
		all[i] = make([]byte, 1<<20)
		for at := 0; at < len(all[i]); at += os.Getpagesize() {
			all[i][at] = 1
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	runtime.KeepAlive(all)
	return m.HeapReleased
}

// The program runs on when its pages have been taken out of the map.
func TestUnmapProgram(t *testing.T) {
	mapped := func() (kib int) {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(b), "RssFile:")
		if _, err := fmt.Sscan(after, &kib); err != nil {
			t.Fatal(err)
		}
		return kib
	}
	mapProgram(t)
	p, err := OpenProgram()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	before := mapped()
	tuntest.Wait(t, "a quarter of the program's pages to go", func() bool {
		if err := p.Unmap(); err != nil {
			t.Fatal(err)
		}
		return mapped() < before*3/4 // a small program needs most of its pages
	})
}

// mapProgram has all of the program mapped: how much of it a start maps depends on the file's pages
// in the kernel's cache.
func mapProgram(t *testing.T) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil ||
			!strings.HasSuffix(strings.TrimSpace(line), exe) || mode != "r-xp" && mode != "r--p" {
			continue
		}
		if _, _, errno := syscall.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_POPULATE_READ); errno != 0 {
			t.Logf("map %s: %v", strings.TrimSpace(line), errno) // before Linux 5.14
		}
	}
}
