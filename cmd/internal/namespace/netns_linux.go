package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// openNetNS opens the network namespace at a path, in which a command is to run; nil for "".
func openNetNS(path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, hint.Usage(fmt.Errorf("--netns: %w", err), "run it as root")
	}
	if err != nil {
		return nil, hint.Usage(fmt.Errorf("--netns: %w", err), "the namespace of a process is /proc/PID/ns/net")
	}
	if err := checkNetNS(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func checkNetNS(f *os.File) error {
	typ, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || typ != unix.CLONE_NEWNET {
		return hint.Usage(fmt.Errorf("--netns: %s is no network namespace", f.Name()),
			"the namespace of a process is /proc/PID/ns/net")
	}
	var own, other unix.Stat_t
	err = errors.Join(unix.Stat("/proc/self/ns/net", &own), unix.Fstat(int(f.Fd()), &other))
	if err != nil {
		return fmt.Errorf("--netns: %w", err)
	}
	if own.Dev == other.Dev && own.Ino == other.Ino {
		return hint.Usage(fmt.Errorf("--netns: %s is the network that syntap is in itself", f.Name()),
			`"syntap run" routes it`)
	}
	if !hasCapability(unix.CAP_SYS_ADMIN) {
		return hint.Fail(fmt.Errorf("--netns: %w", unix.EPERM), "run it as root")
	}
	return nil
}

// inNetwork calls f on a thread that is in a network.
func inNetwork(network *os.File, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
