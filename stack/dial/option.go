//go:build linux

package dial

import (
	"time"

	"golang.org/x/sys/unix"
)

// socketOption is an option of a socket as setsockopt(2) takes it.
type socketOption struct{ level, name, value int }

// streamOptions returns the options that a TCP socket gets before it connects. It leaves out the
// kernel's defaults: each option is a system call more for every connection.
func streamOptions(o Options, defaults map[socketOption]bool) []socketOption {
	all := []socketOption{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.SOL_SOCKET, unix.SO_OOBINLINE, 1}, // an urgent byte keeps its place in the stream (RFC 6093 §5)
	}
	k := o.Keepalive.OrDefault()
	for _, o := range []socketOption{
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(k.Idle / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(k.Interval / time.Second)},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Probes},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(o.UserTimeout / time.Millisecond)},
	} {
		if !defaults[o] {
			all = append(all, o)
		}
	}
	return all
}

// streamDefaults returns the options that a TCP socket has as the kernel makes it; none that cannot
// be told.
func streamDefaults(s Sockets) map[socketOption]bool {
	fresh, err := open(s, unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fresh)
	defaults := make(map[socketOption]bool)
	for _, name := range []int{unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, unix.TCP_USER_TIMEOUT} {
		if has, err := unix.GetsockoptInt(fresh, unix.IPPROTO_TCP, name); err == nil {
			defaults[socketOption{unix.IPPROTO_TCP, name, has}] = true
		}
	}
	return defaults
}
