package logfile

import (
	"errors"
	"fmt"
	"os"
)

// LockFleet locks the place of a log in its stores, so that two programs do not send a store the
// same records anew. The error of a place that another process has locked is busy.
func LockFleet(path string) (release func(), busy bool, err error) {
	f, err := os.OpenFile(path+FleetSuffix+lockSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	if err := lock(f); err != nil {
		f.Close()
		holds := new(busyError)
		return nil, errors.As(err, &holds), err
	}
	return func() { unlock(f); f.Close() }, false, nil
}

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
