//go:build linux

package farseq

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Origin is the sequence numbers of the first byte of either side of a connection.
type Origin struct{ Own, Far uint32 }

// Loop has the kernel loop the last packet of the next write back, or ends that. It reports whether
// the kernel does it.
func Loop(fd int, on bool) bool {
	flags := 0
	if on {
		flags = unix.SOF_TIMESTAMPING_TX_SCHED
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, flags) == nil
}

// looped is enough of a packet for the headers of link, IP and TCP.
const looped = 160

// Looped returns the origin by a packet that was looped back: the first that the socket has sent,
// at a time when it had received some bytes. ok is false where there is none.
func Looped(fd int, local, remote netip.AddrPort, received uint64) (o Origin, ok bool) {
	b := make([]byte, looped)
	for {
		n, _, _, _, err := unix.Recvmsg(fd, b, nil, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err != nil {
			return o, ok
		}
		if seq, ack, is := numbers(b[:n], local, remote); is && !ok {
			o, ok = Origin{seq, ack - uint32(received)}, true
		}
	}
}

// Drain removes packets that were looped back.
func Drain(fd int) {
	for {
		if _, _, _, _, err := unix.Recvmsg(fd, nil, nil, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

// numbers returns those of a packet with headers of a link before it. The addresses stand next to
// each other in the header of IP, and are its end but for options of IPv4.
func numbers(b []byte, local, remote netip.AddrPort) (seq, ack uint32, ok bool) {
	ends := append(local.Addr().AsSlice(), remote.Addr().AsSlice()...)
	at := bytes.Index(b, ends)
	const before4 = 12 // bytes of the header
	if at < 0 || local.Addr().Is4() && at < before4 {
		return 0, 0, false
	}
	tcp := b[at+len(ends):]
	if local.Addr().Is4() {
		if options := int(b[at-before4]&0xf)*4 - 20; options >= 0 && options <= len(tcp) {
			tcp = tcp[options:]
		}
	}
	if len(tcp) < 20 || binary.BigEndian.Uint16(tcp) != local.Port() || binary.BigEndian.Uint16(tcp[2:]) != remote.Port() {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:]), true
}
