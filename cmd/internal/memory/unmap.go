//go:build linux

package memory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Program is the file that this process executes, and the list of its mappings (proc_pid_smaps(5)):
// a router opens no file once it has begun.
type Program struct {
	exe   string
	smaps *os.File
}

// OpenProgram opens the list of mappings.
func OpenProgram() (*Program, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	return &Program{exe, smaps}, nil
}

// Close closes the list. The pages of a nil Program stay.
func (p *Program) Close() {
	if p != nil {
		_ = p.smaps.Close()
	}
}

// Unmap takes the pages of the program's file out of memory's map, code and constants. The
// kernel keeps them in its cache, and maps those that are needed again, without a read. A start
// needs nearly all of them, because the kernel maps sixteen around each; routing a fifth.
//
// Pages that differ from the file stay: those that the loader has relocated, or a debugger has
// changed.
func (p *Program) Unmap() error {
	if p == nil {
		return nil
	}
	if _, err := p.smaps.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var errs []error
	var from, to uintptr // of the last mapping of the program; 0 = it is another's
	lines := bufio.NewScanner(p.smaps)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case !strings.Contains(strings.SplitN(line, " ", 2)[0], ":"):
			var mode string
			if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil ||
				!strings.HasSuffix(line, " "+p.exe) || mode != "r-xp" && mode != "r--p" {
				from = 0
			}
		case from > 0 && strings.HasPrefix(line, "Anonymous:") && strings.HasSuffix(line, " 0 kB"):
			_, _, errno := syscall.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
			if errno != 0 {
				errs = append(errs, errno)
			}
		}
	}
	return errors.Join(append(errs, lines.Err())...)
}
