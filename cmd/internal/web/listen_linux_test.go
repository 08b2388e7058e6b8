package web

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

func TestListenInMissingDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := Listen("unix:" + dir + "/http.sock")
	if got := hint.Of(err); got != "mkdir -p "+dir {
		t.Errorf("%v, hint %q, want one to make the directory", err, got)
	}
}

func TestListenOnOtherAddress(t *testing.T) {
	t.Parallel()
	_, err := Listen("192.0.2.1:9153")
	if got := hint.Of(err); !strings.Contains(got, "an address of this host") {
		t.Errorf("%v, hint %q, want one for an address that no interface has", err, got)
	}
}

// listenAs listens on a Unix socket as another user. Only the thread changes its user, and ends
// with that.
func listenAs(t *testing.T, uid int, path string) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	listening := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			listening <- errno
			return
		}
		listening <- unix.Listen(fd, 10)
	}()
	return <-listening
}

// TestListenPrivately listens with each umask: from the beginning others than owner and group may
// not connect. The thread has a umask of its own, and ends with it.
func TestListenPrivately(t *testing.T) {
	t.Parallel()
	for _, umask := range []int{0, 0o002, 0o022, 0o077} {
		path := filepath.Join(t.TempDir(), "http.sock")
		done := make(chan error, 1)
		go func() {
			runtime.LockOSThread() // and never unlocked
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				done <- err
				return
			}
			unix.Umask(umask)
			l, err := listenPrivately("unix", path)
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			done <- err
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var stat unix.Stat_t
		if err := unix.Stat(path, &stat); err != nil {
			t.Fatal(err)
		}
		if got, want := stat.Mode&0o777, uint32(socketMode&^umask); got != want {
			t.Errorf("umask %03o: mode %03o, want %03o", umask, got, want)
		}
	}
}
