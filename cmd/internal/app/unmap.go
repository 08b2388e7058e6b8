//go:build linux

package app

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

// program is the file that this process executes, and the list of its mappings (proc_pid_smaps(5)):
// a router opens no file once it has begun.
type program struct {
	exe   string
	smaps *os.File
}

func openProgram() (*program, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	return &program{exe, smaps}, nil
}

func (p *program) close() {
	if p != nil {
		_ = p.smaps.Close()
	}
}

// unmap takes the pages of the program's file out of memory's map, code and constants. The
// kernel keeps them in its cache, and maps those that are needed again, without a read. A start
// needs nearly all of them, because the kernel maps sixteen around each; routing a fifth.
//
// Pages that differ from the file stay: those that the loader has relocated, or a debugger has
// changed.
func (p *program) unmap() error {
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
