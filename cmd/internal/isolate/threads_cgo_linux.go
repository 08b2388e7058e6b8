//go:build cgo

package isolate

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

// besideC says that the program has threads of C's.
const besideC = true

// threads returns an error where the calls that drop capabilities do not reach all threads. Beside
// C they find the threads in /proc, and abort the program where that is of another PID namespace,
// as in an exec within an exec within an exec.
func threads() error {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	if self != strconv.Itoa(os.Getpid()) {
		return errors.New("keep capabilities: /proc is of another PID namespace, and this build needs it (CGO_ENABLED=0 does not)")
	}
	return nil
}
