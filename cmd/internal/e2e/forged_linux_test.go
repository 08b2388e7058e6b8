package e2e_test

import (
	words "encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestForgedRecords has a router write bytes that no router writes into the memory by which it
// sends records, as code would that has taken it over. The keeper ends it, the log says so and goes
// on, and its chain is whole.
func TestForgedRecords(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "format: json,", "format: json, chain: true,", 1))
	lab.Router.Run("curl", "-sS", urls()[0])
	r.waitRecords(t, 1)
	if unix.Geteuid() != 0 {
		t.Skip("needs ptrace")
	}
	for i, forge := range []func(memory *os.File, at int64) error{
		func(memory *os.File, at int64) error { // that there are more bytes than the memory has
			return writeAt(memory, words.NativeEndian.AppendUint64(nil, 1<<40), at)
		},
		func(memory *os.File, at int64) error { // that there is a message, at the next place, which is no record
			word := make([]byte, 8)
			if _, err := memory.ReadAt(word, at); err != nil {
				return err
			}
			written := words.NativeEndian.Uint64(word)
			const ring = 1 << 20
			next := at + 4096 + int64(written%ring)
			return errors.Join(writeAt(memory, append([]byte{8, 0, 0, 0, 0, 0, 0, 0}, "no recor"...), next),
				writeAt(memory, words.NativeEndian.AppendUint64(nil, written+16), at))
		},
	} {
		before := r.routerPID(t)
		r.wait(t, "another router", func() bool {
			if pid := routerOf(r.PID()); pid != before {
				return pid > 0
			}
			// The router may write its own over it, before the keeper looks.
			if err := forgeIn(before, forge); err != nil && routerOf(r.PID()) == before {
				t.Logf("forge: %v", err)
			}
			return false
		})
		r.wait(t, "the finding", func() bool {
			return strings.Count(r.read(t, "handshakes.json"), `"kind":"invalid_record"`) == i+1
		})
		r.wait(t, "a connection", func() bool {
			return output(lab.Router, "curl", "-sS", "-m", "5", urls()[0]) != ""
		})
	}
	if said := r.Stderr(); !strings.Contains(said, "the router has sent what no router sends") {
		t.Errorf("the keeper said %s", said)
	}
	r.stop(t, unix.SIGTERM)
	lab.Router.Run(binary, "verify", filepath.Join(r.dir, "handshakes.json"))
}

// forgeIn has the memory of a router changed, and its keeper look at it.
func forgeIn(pid int, forge func(memory *os.File, at int64) error) error {
	at, err := mappingOf(pid, "/memfd:ring")
	if err != nil {
		return err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	if err := forge(memory, at); err != nil {
		return err
	}
	return ringBell(pid)
}

func writeAt(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

// mappingOf returns the address at which a process has mapped a file.
func mappingOf(pid int, name string) (at int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, name) {
			_, err := fmt.Sscanf(line, "%x-", &at)
			return at, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, name)
}

// ringBell wakes the keeper of a router up, as that would, to look at the memory.
func ringBell(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(process)
	fd, err := bellOf(pid)
	if err != nil {
		return err
	}
	bell, err := unix.PidfdGetfd(process, fd, 0)
	if err != nil {
		return err
	}
	defer unix.Close(bell)
	return unix.Sendto(bell, []byte{1}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
}

// bellOf returns the descriptor of a router's only Unix stream.
func bellOf(pid int) (fd int, err error) {
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", pid))
	if err != nil {
		return 0, err
	}
	streams := make(map[string]bool)
	for line := range strings.Lines(string(all)) {
		if f := strings.Fields(line); len(f) >= 7 && f[4] == "0001" {
			streams["socket:["+f[6]+"]"] = true
		}
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return 0, err
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && streams[to] {
			return strconv.Atoi(filepath.Base(fd))
		}
	}
	return 0, fmt.Errorf("process %d has no bell", pid)
}
