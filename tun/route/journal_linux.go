package route

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// journal is the file that tells what runs have changed on the host and not taken back yet, a line
// for each config, from which all its steps follow. It is written before the first of them. Whoever
// holds the file's lock owns the interface name in the network namespace; a lock goes with its
// process, so that a journal without one is that of the dead.
//
// Only root can write it: what it says is removed.
type journal struct {
	file *os.File
	runs []Config // that have not cleaned up
	size int64    // of their lines
	own  [][]byte // lines of this run
	end  int64    // of all lines
}

const journalSuffix = ".journal"

// openJournal locks the journal of an interface name in the calling thread's network namespace. The
// error wraps ErrRunning when another process has it.
func openJournal(dir, name string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of journal: %w", err)
	}
	path, err := journalPath(dir, name)
	if err != nil {
		return nil, err
	}
	return lockJournal(path, os.O_CREATE)
}

// journalPath names a journal for the network namespace and for the interface: names are its own in
// each namespace.
func journalPath(dir, name string) (string, error) {
	ns, err := namespaceID()
	if err != nil {
		return "", fmt.Errorf("identify network namespace: %w", err)
	}
	return filepath.Join(dir, fmt.Sprintf("%d-%s%s", ns, name, journalSuffix)), nil
}

// namespaceID returns a number of the calling thread's network namespace that no other has had
// since the host started: the first one's is 1. Before Linux 5.14 it is that of /proc/PID/ns/net,
// which may be given again when the namespace has ended.
func namespaceID() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		var ns unix.Stat_t
		err := unix.Stat("/proc/thread-self/ns/net", &ns)
		return ns.Ino, err
	}
	return cookie, err
}

func lockJournal(path string, create int) (*journal, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW|create, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock journal %s: %w", path, ErrRunning)
		} else if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock journal %s: %w", path, err)
		}
		// The one who held the lock may have removed the file before letting go of it.
		opened, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("read journal: %w", err)
		}
		if named, err := os.Stat(path); err != nil || !os.SameFile(opened, named) {
			f.Close()
			continue
		}
		j := &journal{file: f}
		if err := j.read(); err != nil {
			f.Close()
			return nil, err
		}
		return j, nil
	}
}

func (j *journal) read() error {
	b, err := io.ReadAll(j.file)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if j.runs, j.size, err = parseJournal(b); err != nil {
		return fmt.Errorf("read journal %s: %w", j.file.Name(), err)
	}
	return nil
}

func parseJournal(b []byte) (runs []Config, size int64, err error) {
	for line := range bytes.Lines(b) {
		var c Config
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // its writer died before it changed anything
		}
		if err := json.Unmarshal(line, &c); err != nil {
			return runs, size, err
		}
		runs = append(runs, c)
		size += int64(len(line))
	}
	return runs, size, nil
}

// routersBeside returns the configs of other routers in this network namespace, by their journals.
func routersBeside(c Config) (all []Config) {
	if c.StateDir == "" {
		return nil
	}
	pattern, err := journalPath(c.StateDir, "*")
	if err != nil {
		return nil
	}
	paths, _ := filepath.Glob(pattern) // in order
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile, or is another user's
		}
		runs, _, _ := parseJournal(b)
		for _, r := range runs {
			if r.Name != c.Name && r.Mark != c.Mark {
				all = append(all, r)
			}
		}
	}
	return all
}

// begin notes that c is about to be carried out, unless a dead run with the same steps, or this
// one, has done so.
func (j *journal) begin(c Config) error {
	line, err := journalLine(c)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	for _, dead := range j.runs {
		if b, err := journalLine(dead); err == nil && bytes.Equal(b, line) {
			return nil
		}
	}
	if slices.ContainsFunc(j.own, func(b []byte) bool { return bytes.Equal(b, line) }) {
		return nil
	}
	end := max(j.end, j.size)
	if err := j.file.Truncate(end); err != nil { // a line that was not finished
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err := j.file.Write(line); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.own, j.end = append(j.own, line), end+int64(len(line))
	return nil
}

// journalLine returns what the journal keeps of a config: all that its steps' undoing depends on.
func journalLine(c Config) ([]byte, error) {
	c.Underlay.Uplinks, c.Underlay.Detours, c.Underlay.Tunnels = nil, nil, nil
	if !c.ByRules {
		c.Underlay.Bypass = nil
	}
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}

// cancel forgets what begin has noted, and lets go of the journal.
func (j *journal) cancel() error {
	if len(j.runs) == 0 {
		return j.remove()
	}
	return errors.Join(j.file.Truncate(j.size), j.close())
}

// remove removes the journal: nothing is left to clean up.
func (j *journal) remove() error {
	return errors.Join(os.Remove(j.file.Name()), j.close())
}

// close lets go of the journal, also where a child process that is being started shares the file
// for a moment.
func (j *journal) close() error {
	return errors.Join(unix.Flock(int(j.file.Fd()), unix.LOCK_UN), j.file.Close())
}
