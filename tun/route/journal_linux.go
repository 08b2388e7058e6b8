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
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// journal is the file of the configs whose steps have not been undone, a line each. The steps
// follow from the config. The line is written before the first step. The process that holds the
// file's lock owns the interface name in the network namespace. A lock ends with its process, so a
// journal without one belongs to a dead run.
//
// Only root can write the file, because Cleanup trusts it.
type journal struct {
	file *os.File
	runs []Config // of dead runs
	size int64    // of the lines of runs
	own  [][]byte // lines of this run
	end  int64    // of all lines
}

const journalSuffix = ".journal"

// openJournal locks the journal of an interface name in the calling thread's network namespace. The
// error wraps ErrRunning if another process holds the lock.
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

// journalPath returns the path of the journal of an interface in the calling thread's network
// namespace.
func journalPath(dir, name string) (string, error) {
	ns, err := namespaceID()
	if err != nil {
		return "", fmt.Errorf("identify network namespace: %w", err)
	}
	return filepath.Join(dir, fmt.Sprintf("%d-%s%s", ns, name, journalSuffix)), nil
}

// namespaceID returns the cookie of the calling thread's network namespace, which no other
// namespace has had since the host started. Before Linux 5.14 it returns the inode of
// /proc/PID/ns/net, which the kernel may reuse after the end of the namespace.
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

// lockJournal locks and reads a journal. The error wraps ErrJournal if it cannot be read.
func lockJournal(path string, create int) (*journal, error) {
	j, err := lockUnread(path, create)
	if err != nil {
		return nil, err
	}
	if err := j.read(); err != nil {
		j.file.Close()
		return nil, err
	}
	return j, nil
}

// lockUnread locks a journal.
func lockUnread(path string, create int) (*journal, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|create, 0o600)
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENXIO) {
			return nil, fmt.Errorf("%w: %s is no ordinary file", ErrJournal, path)
		} else if err != nil {
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
		// The last holder of the lock may have removed the file before it unlocked it.
		opened, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("read journal: %w", err)
		}
		if named, err := os.Stat(path); err != nil || !os.SameFile(opened, named) {
			f.Close()
			continue
		}
		return &journal{file: f}, nil
	}
}

// hold returns a file with a lock on the journal, for a router that may outlive the run by a
// moment. The lock lasts to the end of all processes that have the file (await). It is another lock
// than that of the run. The file cannot be written.
func (j *journal) hold() (*os.File, error) {
	f, err := os.OpenFile(j.file.Name(), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK}); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock journal %s: %w", j.file.Name(), err)
	}
	return f, nil
}

// await waits for those that hold the journal of a dead run. It does not wait for a run that is
// alive.
func await(path string, patience time.Duration) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil //nolint:nilerr // there was no run, or it is another user's
	}
	defer f.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(awaitInterval) {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil // alive
		case err != nil:
			return fmt.Errorf("lock journal %s: %w", path, err)
		}
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
		held := unix.Flock_t{Type: unix.F_WRLCK}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held); err != nil {
			return fmt.Errorf("ask for the lock on journal %s: %w", path, err)
		}
		if held.Type == unix.F_UNLCK {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a part of the last run of this interface does not end: %s", path)
		}
	}
}

const awaitInterval = 2 * time.Millisecond

// maxJournal bounds a journal in bytes. The config of a run is some hundred, of one with very many
// prefixes a million.
const maxJournal = 64 << 20

// read reads the configs of dead runs. The error wraps ErrJournal if there is anything else.
func (j *journal) read() (err error) {
	j.runs, j.size, err = readJournal(j.file)
	return err
}

// readJournal returns the configs of a journal, those behind a line that it cannot read, too, and
// the length of all whole lines. The error wraps ErrJournal if there is anything else.
func readJournal(f *os.File) (runs []Config, size int64, err error) {
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, 0, fmt.Errorf("read journal: %w", err)
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("%w: %s is no ordinary file", ErrJournal, f.Name())
	case info.Size() > maxJournal:
		return nil, 0, fmt.Errorf("%w: %s has more than %d MiB", ErrJournal, f.Name(), maxJournal>>20)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, 0, fmt.Errorf("read journal: %w", err)
	}
	if runs, size, err = parseJournal(f.Name(), b); err != nil {
		err = fmt.Errorf("%w: %s, %w", ErrJournal, f.Name(), err)
	}
	return runs, size, err
}

// parseJournal returns the configs of a journal, and the error of the first line that has none.
func parseJournal(path string, b []byte) (runs []Config, size int64, err error) {
	number := 0
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // its writer died before its first step
		}
		number++
		size += int64(len(line))
		var c Config
		bad := json.Unmarshal(line, &c)
		if bad == nil {
			bad = c.validateJournaled(interfaceOf(path))
		}
		if bad == nil {
			runs = append(runs, c)
		} else if err == nil {
			err = fmt.Errorf("line %d: %w", number, bad)
		}
	}
	return runs, size, err
}

// interfaceOf returns the name of the interface that a journal is for.
func interfaceOf(path string) string {
	_, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), journalSuffix), "-")
	return name
}

// validateJournaled refuses a config that no run of the interface name has written.
func (c Config) validateJournaled(name string) error {
	switch {
	case c.Name != name:
		return fmt.Errorf("it is of interface %q", c.Name)
	case !c.hasRules() || c.Mark == 0 || c.priority() < 1:
		return errors.New("it is not of a run that routes")
	}
	return nil
}

// routersBeside returns the configs of other routers in this network namespace, by their journals.
func routersBeside(c Config) (all []Config) {
	if c.StateDir == "" {
		return nil
	}
	for _, r := range journaled(c.StateDir) {
		if r.Name != c.Name && r.Mark != c.Mark {
			all = append(all, r)
		}
	}
	return all
}

// journaled returns the configs of all runs, dead or alive, that have a journal in the calling
// thread's network namespace.
func journaled(dir string) (all []Config) {
	pattern, err := journalPath(dir, "*")
	if err != nil {
		return nil
	}
	paths, _ := filepath.Glob(pattern) // sorted
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // the router has ended meanwhile, or the file is another user's
		}
		runs, _, _ := readJournal(f) // a fault is for those who need it
		_ = f.Close()
		all = append(all, runs...)
	}
	return all
}

// begin writes the line of c before its steps are made, unless a line of a dead run or of this one
// stands for the same steps.
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
	if err := j.file.Truncate(end); err != nil { // removes an incomplete line
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err := j.file.Write(line); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.own, j.end = append(j.own, line), end+int64(len(line))
	return nil
}

// journalLine returns the line of a config, with all fields on which the undoing of its steps
// depends.
func journalLine(c Config) ([]byte, error) {
	c.Underlay.Uplinks, c.Underlay.Detours, c.Underlay.Tunnels = nil, nil, nil
	c.Underlay.Resolvers = nil
	if !c.ByRules {
		c.Underlay.Bypass = nil
	}
	b, err := json.Marshal(c)
	return append(b, '\n'), err
}

// cancel removes the lines of begin and closes the journal.
func (j *journal) cancel() error {
	if len(j.runs) == 0 {
		return j.remove()
	}
	return errors.Join(j.file.Truncate(j.size), j.close())
}

// remove removes and closes the journal, after all steps are undone.
func (j *journal) remove() error {
	return errors.Join(os.Remove(j.file.Name()), j.close())
}

// close unlocks and closes the journal. The file alone would stay locked while a child process that
// is being started shares it.
func (j *journal) close() error {
	return errors.Join(unix.Flock(int(j.file.Fd()), unix.LOCK_UN), j.file.Close())
}
