package isolate

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mostThreads bounds the threads of a router that has a user of its own. Go starts another one only
// where all that it has are in system calls that block.
const mostThreads = 1024

// fewestThreads are those without which such a router ends when it is busy.
const fewestThreads = 64

// limit bounds the resources of this process.
func limit(n Needs) error {
	if n.Memory > 0 {
		most := dataNow() + n.Memory
		if err := lower(unix.RLIMIT_DATA, most); err != nil {
			return fmt.Errorf("limit memory: %w", err)
		}
	}
	if hasOwnUser() {
		if err := lower(unix.RLIMIT_NPROC, mostThreads); err != nil {
			return fmt.Errorf("limit threads: %w", err)
		}
	}
	return nil
}

// lower sets a limit of resources, unless a lower one is in force.
func lower(resource int, most uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	if now.Max <= most {
		return nil
	}
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most})
}

// raise gives a limit of resources a value where a lower one is in force, or as much as it may be.
func raise(resource int, least uint64) (now uint64) {
	var is unix.Rlimit
	if err := unix.Getrlimit(resource, &is); err != nil || is.Cur >= least {
		return least // what cannot be read does not limit
	}
	for _, want := range []unix.Rlimit{{Cur: least, Max: max(least, is.Max)}, {Cur: is.Max, Max: is.Max}} {
		if unix.Setrlimit(resource, &want) == nil {
			return want.Cur
		}
	}
	return is.Cur
}

// dataNow returns the bytes that RLIMIT_DATA counts of this process (proc_pid_status(5)), 0 if that
// cannot be told.
func dataNow() (bytes uint64) {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "\nVmData:")
	_, _ = fmt.Sscan(rest, &bytes)
	return bytes << 10
}

// hasOwnUser reports whether this process runs as a user that takeOwnUser gives out.
func hasOwnUser() bool {
	uid := os.Getuid()
	return uid >= firstDynamic && uid <= lastDynamic
}
