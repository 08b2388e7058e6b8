package limits

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// leastSignals are as many as the threads of a process at its start: Go's runtime sends each one
// when all are to give up a right, and waits for ever where the kernel has no room for it.
const leastSignals = 64

// CheckSignals refuses a limit of the user's signals (RLIMIT_SIGPENDING) under which the process
// may wait without end. With raise it lifts the limit first, if it may.
func CheckSignals(raise bool) error {
	queued, limit := signals()
	if limit >= queued+leastSignals {
		return nil
	}
	var is unix.Rlimit
	if raise && unix.Getrlimit(unix.RLIMIT_SIGPENDING, &is) == nil {
		most := max(is.Max, queued+16*leastSignals)
		if unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: most, Max: most}) != nil { // CAP_SYS_RESOURCE
			_ = unix.Setrlimit(unix.RLIMIT_SIGPENDING, &unix.Rlimit{Cur: is.Max, Max: is.Max})
		}
		if queued, limit = signals(); limit >= queued+leastSignals {
			return nil
		}
	}
	return hint.Fail(fmt.Errorf("%d signals of this user wait, of %d that may (RLIMIT_SIGPENDING): there is no room for %d",
		queued, limit, leastSignals),
		"let it have more: ulimit -i 1024, or LimitSIGPENDING= in its unit")
}

// signals returns how many signals of this user wait, and how many may (proc_pid_status(5)).
func signals() (queued, limit uint64) {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "\nSigQ:")
	if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%d/%d", &queued, &limit); err != nil {
		return 0, leastSignals // it cannot be told
	}
	return queued, limit
}
