package hostfile

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

var errNoFile = errors.New("is no regular file")

// Open opens a file. It refuses a pipe, which may never have a writer, and the like.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", path, errNoFile)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
