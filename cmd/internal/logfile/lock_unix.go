//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package logfile

import (
	"errors"
	"os"
	"syscall"
)

// lock keeps other processes off a file until it is closed (flock(2)). Streams and devices are not
// locked, nor are files on file systems that know no locks.
func lock(f *os.File) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		return &busyError{pid: holder(info)}
	}
	return nil
}

// unlock ends the lock also where a child that is about to be another program still has the file.
func unlock(f *os.File) { _ = flock(f, syscall.LOCK_UN) }

func flock(f *os.File, how int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = conn.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), how) })
	return errors.Join(err, lockErr)
}
