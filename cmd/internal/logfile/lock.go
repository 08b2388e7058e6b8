package logfile

import (
	"fmt"
	"os"
)

// busyError says that another process writes the file.
type busyError struct{ pid int } // 0 = it cannot be seen from here

func (e *busyError) Error() string {
	switch e.pid {
	case 0:
		return "another process writes it"
	case os.Getpid():
		return "this process writes it already"
	default:
		return fmt.Sprintf("process %d writes it", e.pid)
	}
}
