package dial

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// routeAsker asks the kernel for routes (rtnetlink(7)) through a socket that is opened once. A
// library would take four times as long for each new destination.
type routeAsker struct {
	fd  int // 0 = none yet
	seq uint32
	buf [4096]byte
}

// Offsets in a message: the header, then struct rtmsg, then attributes.
const (
	rtmsgAt     = unix.SizeofNlMsghdr
	rtmTypeAt   = rtmsgAt + 7
	attributeAt = rtmsgAt + unix.SizeofRtMsg
)

// isOwn reports whether packets to an address are delivered to this host.
func (r *routeAsker) isOwn(a netip.Addr, mark uint32, s Sockets) bool {
	if r.fd == 0 {
		fd, err := open(s, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
		if err != nil {
			return true
		}
		r.fd = fd
	}
	if unix.Sendto(r.fd, r.request(a, mark), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return true
	}
	for { // the answer is there: the kernel works while it is asked
		n, _, err := unix.Recvfrom(r.fd, r.buf[:], 0)
		if err != nil || n < attributeAt {
			return true
		}
		if binary.NativeEndian.Uint32(r.buf[8:]) != r.seq {
			continue
		}
		// Otherwise it is an error: there is no way.
		typ := r.buf[rtmTypeAt]
		return binary.NativeEndian.Uint16(r.buf[4:]) == unix.RTM_NEWROUTE && (typ == unix.RTN_LOCAL || typ == unix.RTN_ANYCAST)
	}
}

func (r *routeAsker) close() {
	if r.fd != 0 {
		_ = unix.Close(r.fd)
		r.fd = 0
	}
}

func (r *routeAsker) request(a netip.Addr, mark uint32) []byte {
	r.seq++
	family := byte(unix.AF_INET6)
	if a.Is4() {
		family = unix.AF_INET
	}
	b := append(r.buf[:0], make([]byte, attributeAt)...)
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], r.seq)
	b[rtmsgAt], b[rtmsgAt+1] = family, byte(a.BitLen())
	b = appendAttribute(b, unix.RTA_DST, a.AsSlice())
	b = appendAttribute(b, unix.RTA_MARK, binary.NativeEndian.AppendUint32(nil, mark))
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

// appendAttribute appends an attribute whose value needs no padding.
func appendAttribute(b []byte, typ uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	return append(b, value...)
}
