package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// openFile opens a log for reading and writing, and makes it where it is not there. Whoever can write into the log's directory could
// lead the writes elsewhere, so symbolic links and directories open to everyone are refused.
func openFile(path string, flag int) (*os.File, error) {
	f, err := openRegular(path, flag)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", path, cause(err))
	}
	return f, nil
}

// Create makes a file to write, or begins one anew, with the care that openFile takes.
func Create(path string) (*os.File, error) { return openFile(path, os.O_TRUNC) }

// cause strips the operation and the path off an error that is about to get them anyway.
func cause(err error) error {
	if pathError := new(fs.PathError); errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

func openRegular(path string, flag int) (*os.File, error) {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return nil, fmt.Errorf("directory %s is writable by everyone and has no sticky bit", dir)
	}
	// What stands there now only makes the better message: noFollow is what keeps a link made meanwhile from being followed.
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, errors.New("it is a symbolic link")
	}
	f, err := os.OpenFile(path, flag|os.O_RDWR|os.O_CREATE|noFollow, 0o640)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() && info.Mode()&fs.ModeCharDevice == 0 {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
