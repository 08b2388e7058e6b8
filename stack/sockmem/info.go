//go:build linux

package sockmem

import (
	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// Info is the kernel's account of a socket's memory in bytes, with that of descriptors (SK_MEMINFO_
// of include/uapi/linux/sock_diag.h). The kernel uses signed numbers: forward allocations can be
// negative.
type Info struct {
	Received      int32 // waits to be read
	ReceiveBuffer int32
	Sent          int32 // in the queues of the host
	SendBuffer    int32
	Forward       int32 // reserved for more
	Sending       int32 // of TCP: not yet acknowledged
	Options       int32
	Backlog       int32  // received while a system call held the socket
	Drops         uint32 // datagrams that found no room; a number, not bytes
}

// Of returns the kernel's account of a socket's memory, or the zero value if there is none.
func Of(fd int) (info Info) {
	if raw.Option(fd, unix.SOL_SOCKET, unix.SO_MEMINFO, &info) != 0 {
		return Info{}
	}
	return info
}

// Stream returns the bytes that the kernel holds for a TCP socket at present: those received and
// those not yet acknowledged, with their descriptors. 0 = unknown.
func Stream(fd int) (sum int64) {
	info := Of(fd)
	return info.stream()
}

// Room returns the bytes that the kernel may hold for a TCP socket: those that its buffers have
// room for at present, or hold already. 0 = unknown.
func Room(fd int) int64 {
	info := Of(fd)
	return max(int64(info.ReceiveBuffer)+int64(info.SendBuffer), info.stream())
}

func (info *Info) stream() (sum int64) {
	for _, n := range []int32{info.Received, info.Forward, info.Sending, info.Backlog} {
		sum += int64(max(0, n))
	}
	return sum
}
