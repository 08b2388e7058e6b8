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

// TestForgedRecordsInExec does the same with the router of a command, which goes on with another.
func TestForgedRecordsInExec(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	const script = `curl -sS $1 && until [ -e $0 ]; do sleep 0.1; done; exec curl -sS $1`
	p := lab.Router.Start(binary, "exec", "--format", "json", "-o", log, "--", "sh", "-c", script, filepath.Join(dir, "go"), urls()[0])
	tuntest.Wait(t, "the command", func() bool { return p.Stdout() != "" })
	before := isolatedRouter(t, p.PID())
	if err := forgeIn(before, func(memory *os.File, at int64) error {
		return writeAt(memory, words.NativeEndian.AppendUint64(nil, 1<<40), at)
	}); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "another router", func() bool { pid := routerOf(p.PID()); return pid > 0 && pid != before })
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Err() != nil || !strings.Contains(p.Stderr(), "the router has sent what no router sends") {
		t.Errorf("exec ended with %v: %s", p.Err(), p.Stderr())
	}
	text, err := os.ReadFile(log)
	if err != nil || strings.Count(string(text), `"kind":"invalid_record"`) != 1 || strings.Count(string(text), `"outcome":"established"`) != 2 {
		t.Errorf("the log has %s, %v; want a finding and two connections", text, err)
	}
}

// TestFloodedRing has a router say without end to where it is about to connect, each time to
// another place. The keeper takes it all, does not grow with it, and has another router when that
// one is dead.
func TestFloodedRing(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything)
	lab.Router.Run("curl", "-sS", urls()[0])
	before := resident(t, r.PID())
	pid := r.routerPID(t)
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil { // it writes nothing of its own
		t.Fatal(err)
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	at, err := mappingOf(pid, "/memfd:ring")
	if err != nil {
		t.Fatal(err)
	}
	word := func(offset int64) uint64 {
		b := make([]byte, 8)
		if _, err := memory.ReadAt(b, at+offset); err != nil {
			t.Fatal(err)
		}
		return words.NativeEndian.Uint64(b)
	}
	const ring, length, each, announcement = 1 << 20, 20, 32, 0xfd
	block := make([]byte, ring/2)
	said := uint64(0)
	for range scaled(64, 4096) {
		for m := block; len(m) > 0; m = m[each:] {
			said++
			words.NativeEndian.PutUint64(m, length)
			m[8] = announcement
			words.NativeEndian.PutUint64(m[12:], said) // of 16 bytes of an address
		}
		r.wait(t, "room", func() bool { return word(0)-word(64) <= ring/2 })
		written := word(0)
		begin := int64(written % ring)
		first := min(int64(len(block)), ring-begin)
		if err := errors.Join(
			writeAt(memory, block[:first], at+4096+begin), writeAt(memory, block[first:], at+4096),
			writeAt(memory, words.NativeEndian.AppendUint64(nil, written+uint64(len(block))), at), ringBell(pid),
		); err != nil {
			t.Fatal(err)
		}
	}
	r.wait(t, "all to be taken", func() bool { return word(0) == word(64) })
	const most = 24 << 10 // KiB
	if after := resident(t, r.PID()); after > before+most {
		t.Errorf("the keeper has %d KiB resident, before %d", after, before)
	}
	r.killRouter(t)
	lab.Router.Run("curl", "-sS", urls()[1])
	r.stop(t, unix.SIGTERM)
	if got := strings.Count(r.read(t, "handshakes.json"), `"kind":"`); got != 0 {
		t.Errorf("the log has %d findings", got)
	}
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

// ringBell wakes the keeper of a router up, as that would, to look at the memory: by the router's
// only Unix stream.
func ringBell(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(process)
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return err
	}
	for _, entry := range fds {
		fd, _ := strconv.Atoi(entry.Name())
		bell, err := unix.PidfdGetfd(process, fd, 0)
		if err != nil {
			continue // it is closed by now
		}
		domain, _ := unix.GetsockoptInt(bell, unix.SOL_SOCKET, unix.SO_DOMAIN)
		typ, _ := unix.GetsockoptInt(bell, unix.SOL_SOCKET, unix.SO_TYPE)
		if domain == unix.AF_UNIX && typ == unix.SOCK_STREAM {
			err := unix.Sendto(bell, []byte{1}, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
			return errors.Join(err, unix.Close(bell))
		}
		_ = unix.Close(bell)
	}
	return fmt.Errorf("process %d has no bell", pid)
}
