package isolate

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// Read returns a process, with its role, and its rights from /proc. The kernel does not tell
// whether landlock restricts it: see [Process.Hold].
func Read(pid int, role string) (Process, error) {
	files, err := Open(pid)
	if err != nil {
		return Process{}, err
	}
	defer files.Close()
	return files.Read(role)
}

// Files are those in which the kernel tells the rights of a process, and of its threads as they
// were when Open was called. A process that has them open can read its own once it may open none.
type Files struct {
	pid     int
	threads []*os.File
	mounts  *os.File
}

// Open opens the files of a process.
func Open(pid int) (*Files, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	threads, err := filepath.Glob(filepath.Join(dir, "task", "*", "status"))
	if err != nil {
		return nil, err
	}
	f := &Files{pid: pid}
	for _, name := range threads {
		if thread, err := os.Open(name); err == nil { // else it has ended
			f.threads = append(f.threads, thread)
		}
	}
	f.mounts, err = os.Open(filepath.Join(dir, "mountinfo"))
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Read returns the process with its rights as they are now.
func (f *Files) Read(role string) (Process, error) {
	p := Process{PID: f.pid, Role: role, NoNewPrivs: true, Seccomp: SeccompStrict}
	var sets [5]uint64
	read := 0
	for _, thread := range f.threads {
		text, err := readAgain(thread)
		if err != nil { // it has ended
			continue
		}
		if err := p.take(text, &sets); err != nil {
			return p, fmt.Errorf("%s: %w", thread.Name(), err)
		}
		read++
	}
	if read == 0 {
		return p, fmt.Errorf("no thread of process %d can be read", f.pid)
	}
	c := &p.Capabilities
	for i, list := range []*[]string{&c.Inheritable, &c.Permitted, &c.Effective, &c.Bounding, &c.Ambient} {
		*list = capabilityNames(sets[i])
	}
	if uid, ok := userOutside(); ok && f.pid == os.Getpid() {
		p.UID = uid
	}
	mounts, err := readAgain(f.mounts)
	p.Writable = writableMounts(mounts)
	return p, err
}

// Close closes the files.
func (f *Files) Close() {
	for _, thread := range f.threads {
		_ = thread.Close()
	}
	if f.mounts != nil {
		_ = f.mounts.Close()
	}
}

// readAgain returns the text of a file from its beginning.
func readAgain(f *os.File) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(f)
	return string(text), err
}

// setLines are the lines of the status of a thread that have its capabilities.
var setLines = map[string]int{"CapInh": 0, "CapPrm": 1, "CapEff": 2, "CapBnd": 3, "CapAmb": 4}

// take adds the rights of a thread, whose status is text (proc_pid_status(5)), to those of the
// process.
func (p *Process) take(text string, sets *[5]uint64) error {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		if len(words) == 0 {
			continue
		}
		set, isSet := setLines[name]
		var err error
		switch {
		case isSet:
			var bits uint64
			bits, err = strconv.ParseUint(words[0], 16, 64)
			sets[set] |= bits
		case name == "Uid" && len(words) == 4:
			var uid uint64
			uid, err = strconv.ParseUint(words[1], 10, 32)
			p.UID = uint32(uid)
		case name == "NoNewPrivs":
			p.NoNewPrivs = p.NoNewPrivs && words[0] == "1"
		case name == "Seccomp" && words[0] == "0":
			p.Seccomp = SeccompOff
		case name == "Seccomp" && words[0] == "2" && p.Seccomp == SeccompStrict:
			p.Seccomp = SeccompFilter
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func capabilityNames(set uint64) []string {
	names := []string{}
	for c := range cap.MaxBits() {
		if set&(1<<c) != 0 {
			names = append(names, strings.ToUpper(c.String()))
		}
	}
	return names
}

// writableMounts returns where the file systems of a mount namespace are mounted that are not
// read-only, neither themselves nor there. mountinfo is the text of proc_pid_mountinfo(5).
func writableMounts(mountinfo string) []string {
	writable := make(map[string]bool)
	for line := range strings.Lines(mountinfo) {
		words := strings.Fields(line)
		after := slices.Index(words, "-")
		if after < 6 || len(words) < after+4 {
			continue
		}
		readOnly := func(options string) bool { return slices.Contains(strings.Split(options, ","), "ro") }
		writable[unescape.Replace(words[4])] = !readOnly(words[5]) && !readOnly(words[after+3])
	}
	paths := []string{}
	for path, ok := range writable {
		if ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// unescape undoes the escapes of paths in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
