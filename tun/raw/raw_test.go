//go:build linux

package raw_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// Bytes cross a socket pair, and an end is seen.
func TestTransfer(t *testing.T) {
	t.Parallel()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	near, far := pair[0], pair[1]
	var b [16]byte
	if n, errno := raw.Read(far, b[:]); errno != unix.EAGAIN {
		t.Errorf("a read of nothing returns %d, %v", n, errno)
	}
	iov := []unix.Iovec{{Base: &[]byte("cd")[0]}}
	iov[0].SetLen(2)
	n, errno := raw.Write(near, []byte("ab"))
	m, errno2 := raw.Writev(near, iov)
	if errno != 0 || errno2 != 0 || n != 2 || m != 2 {
		t.Errorf("writes return %d, %v and %d, %v", n, errno, m, errno2)
	}
	if n, errno := raw.Send(near, []byte("e"), unix.MSG_DONTWAIT); n != 1 || errno != 0 {
		t.Errorf("Send returns %d, %v", n, errno)
	}
	if n, errno := raw.Read(far, b[:]); string(b[:n]) != "abcde" {
		t.Errorf("a read returns %q, %v", b[:n], errno)
	}
	raw.Shutdown(near, unix.SHUT_WR)
	if n, errno := raw.Read(far, b[:]); n != 0 || errno != 0 {
		t.Errorf("a read at the end returns %d, %v", n, errno)
	}
	raw.Close(near)
	raw.Close(far)
	if _, errno := raw.Read(far, b[:]); errno != unix.EBADF {
		t.Errorf("a read of what is closed returns %v", errno)
	}
}

func TestOption(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close(fd)
	if err := raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_LINGER, unix.Linger{Onoff: 1, Linger: 7}); err != nil {
		t.Error(err)
	}
	var l unix.Linger
	if errno := raw.Option(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l); errno != 0 || l.Linger != 7 {
		t.Errorf("the option is %+v, %v", l, errno)
	}
	if err := raw.SetOption(fd, unix.SOL_SOCKET, -1, int32(1)); !errors.Is(err, unix.ENOPROTOOPT) {
		t.Errorf("an option that is none: %v", err)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir, err := unix.Open("/proc/self", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close(dir)
	var b [256]byte
	want, _ := os.Executable()
	if n, err := raw.Readlinkat(dir, "exe", b[:]); err != nil || string(b[:n]) != want {
		t.Errorf("the link is %q, %v, want %q", b[:max(n, 0)], err, want)
	}
	if _, err := raw.Readlinkat(dir, "nothing", b[:]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a link that is not there: %v", err)
	}
	if _, err := raw.Readlinkat(dir, "ex\x00e", b[:]); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a path with a zero: %v", err)
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if n, err := raw.ReadFirst(int(f.Fd()), b[:5]); string(b[:n]) != "Name:" {
			t.Errorf("the first bytes are %q, %v", b[:n], err)
		}
	}
	if _, err := raw.ReadFirst(-1, b[:]); !errors.Is(err, unix.EBADF) {
		t.Errorf("a read of no descriptor: %v", err)
	}
}
