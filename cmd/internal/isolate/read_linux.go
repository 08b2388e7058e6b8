package isolate

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// Read returns a process, with its role, and its rights from /proc. The kernel does not tell
// whether landlock restricts it: no process of syntap uses that.
func Read(pid int, role string) (Process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	p := Process{PID: pid, Role: role, NoNewPrivs: true, Seccomp: SeccompStrict}
	threads, err := filepath.Glob(filepath.Join(dir, "task", "*", "status"))
	if err != nil {
		return p, err
	}
	var sets [5]uint64
	read := 0
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil { // it has ended
			continue
		}
		if err := p.take(string(text), &sets); err != nil {
			return p, fmt.Errorf("%s: %w", file, err)
		}
		read++
	}
	if read == 0 {
		return p, fmt.Errorf("no thread of process %d can be read", pid)
	}
	c := &p.Capabilities
	for i, list := range []*[]string{&c.Inheritable, &c.Permitted, &c.Effective, &c.Bounding, &c.Ambient} {
		*list = capabilityNames(sets[i])
	}
	p.Writable, err = writableMounts(filepath.Join(dir, "mountinfo"))
	return p, err
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
// read-only, neither themselves nor there (proc_pid_mountinfo(5)).
func writableMounts(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	writable := make(map[string]bool)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
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
	return paths, lines.Err()
}

// unescape undoes the escapes of paths in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
