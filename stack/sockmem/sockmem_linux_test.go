package sockmem_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"syntap/stack/sockmem"
	"syntap/tun/raw"
)

// The stack asks for the state of idle connections again and again: that makes no garbage.
func TestAllocatesNothing(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts those of all goroutines
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close(fd)
	if n := testing.AllocsPerRun(100, func() {
		if info, ok := sockmem.TCP(fd); !ok || info.State != unix.BPF_TCP_CLOSE {
			t.Fatalf("TCP_INFO of a socket that is not connected: state %d, %v", info.State, ok)
		}
		if info := sockmem.Of(fd); info.SendBuffer == 0 {
			t.Fatal("SO_MEMINFO tells no send buffer")
		}
	}); n > 0 {
		t.Errorf("two questions take %v objects from the heap", n)
	}
}
