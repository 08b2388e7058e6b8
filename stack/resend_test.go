//go:build linux

package stack

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A host socket that is stuck for a while sends again each second, does not give up sooner for
// that, and is as it was afterwards.
func TestResendSooner(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = c.Read(make([]byte, 1)) })
	socket, err := net.DialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, timeout := range []int{0, 60_000} {
		err := raw.Control(func(fd uintptr) {
			c := &conn{stack: new(Stack), fd: int(fd)}
			c.phase.Store(established)
			options := func() (all [2]int) {
				for i, name := range []int{tcpRTOMaxMS, unix.TCP_USER_TIMEOUT} {
					if all[i], err = unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, name); err == syscall.ENOPROTOOPT {
						t.Skip("before Linux 6.15")
					}
				}
				return all
			}
			if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, timeout); err != nil {
				t.Fatal(err)
			}
			before := options()
			c.resendSooner(true)
			want := [2]int{resendPause, timeout}
			if timeout == 0 {
				want[1] = givesUpAfter
			}
			if got := options(); got != want {
				t.Errorf("options %v, want %v", got, want)
			}
			c.resendSooner(true)
			c.resendSooner(false)
			if got := options(); got != before {
				t.Errorf("options %v after that, want %v", got, before)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
