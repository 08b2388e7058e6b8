package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"syntap/cmd/internal/hint"
)

// access says how a file is opened.
type access struct {
	append   bool
	truncate bool // begin it anew
	shared   bool // without the lock
}

// openFile opens a log for reading and writing, makes it where it is not there, and locks it: two
// processes in one log would number records twice. A user who can write into the log's directory
// could lead the writes elsewhere, so symbolic links and directories open to everyone are refused.
func openFile(path string, a access) (*os.File, error) {
	flag := 0
	if a.append {
		flag = os.O_APPEND
	}
	f, err := openRegular(path, flag)
	if err == nil && !a.shared {
		err = closing(f, lock(f))
	}
	if err == nil && a.truncate {
		err = closing(f, truncate(f))
	}
	if busy := new(busyError); errors.As(err, &busy) {
		return nil, hint.Fail(cannotOpen(path, err), "give each its own file, or stop the other")
	}
	if err != nil {
		return nil, cannotOpen(path, err)
	}
	return f, nil
}

func cannotOpen(path string, err error) error {
	failed := &fs.PathError{Op: "open log", Path: path, Err: Cause(err)}
	if dir := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) {
		return hint.Fail(failed, fmt.Sprintf("mkdir -p %s", dir))
	}
	if errors.Is(err, fs.ErrPermission) {
		return hint.Fail(failed, "run it as root, or as a user who may write there")
	}
	return failed
}

// closing closes f after an error.
func closing(f *os.File, err error) error {
	if err != nil {
		f.Close()
	}
	return err
}

func truncate(f *os.File) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Truncate(0)
}

// OpenShared opens a file for reading and writing, and makes it where it is not there, with the
// same care but without a lock.
func OpenShared(path string) (*os.File, error) { return openFile(path, access{shared: true}) }

// Create makes a file to write, or begins one anew, with the care that openFile takes.
func Create(path string) (*os.File, error) { return openFile(path, access{truncate: true}) }

// Close closes a file that Create has made. Its lock ends also where a child process that is being
// started has the file.
func Close(f *os.File) error {
	unlock(f)
	return f.Close()
}

// Cause strips the operation and the path off an error that is about to get them anyway.
func Cause(err error) error {
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
		return nil, hint.Fail(fmt.Errorf("directory %s is writable by everyone and has no sticky bit", dir),
			"others could put their own file there: chmod +t "+dir+", or name a directory of yours")
	}
	// Lstat gives the better message, and keeps devices from being opened; noFollow holds also for
	// a link that is made meanwhile.
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeCharDevice == 0 {
		if err := mustBeRegular(info); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, flag|os.O_RDWR|os.O_CREATE|noFollow, 0o640)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil && info.Mode()&fs.ModeCharDevice == 0 {
		err = mustBeRegular(info)
	}
	if err := closing(f, err); err != nil {
		return nil, err
	}
	return f, nil
}

// mustBeRegular refuses everything but a regular file.
func mustBeRegular(info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular():
		return nil
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link")
	case info.IsDir():
		return errors.New("it is a directory")
	default:
		return errors.New("it is not a regular file")
	}
}
