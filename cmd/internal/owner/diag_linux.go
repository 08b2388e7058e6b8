package owner

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// diag asks the kernel about sockets of one network namespace (sock_diag(7)).
type diag struct {
	fd     int
	device uint32 // by which packets come
	seq    uint32
	buf    [16384]byte
}

func newDiag(f *os.File, device int) *diag { return &diag{fd: int(f.Fd()), device: uint32(device)} }

// Sizes of struct inet_diag_req_v2 and struct inet_diag_msg, and the places of their members
// (linux/inet_diag.h).
const (
	sockDiagByFamily = 20
	requestSize      = 56
	statesAt         = 4
	requestIDAt      = 8
	messageSize      = 72
	stateAt          = 1
	messageIDAt      = 4
	uidAt            = 64
	inodeAt          = 68

	// Within an ID.
	sportAt, dportAt = 0, 2
	srcAt, dstAt     = 4, 20
	ifAt, cookieAt   = 36, 40

	// Attributes: INET_DIAG_SKV6ONLY, of unconnected sockets, and INET_DIAG_CGROUP_ID.
	attrV6Only, attrCgroup = 11, 21

	synSent = 2 // net/tcp_states.h
)

var errNoSocket = errors.New("no such socket")

// bound is a socket as the kernel describes it.
type bound struct {
	state         uint8
	local, remote netip.AddrPort // of version 4 also where the socket is of version 6; remote is the zero value unless connected
	only6         bool           // it takes no part in IPv4
	device        uint32         // it is bound to; 0 = none
	uid, inode    uint32         // inode is 0 where the socket has no owner any more
	cgroup        uint64         // 0 where the kernel, before 5.9, does not say
}

func (b *bound) socket() Socket { return Socket{UID: b.uid, inode: b.inode, cgroup: b.cgroup} }

// ask sends a question about sockets of a protocol. Without NLM_F_DUMP it is about the one that a
// packet between these addresses belongs to, else about all at the local port.
func (d *diag) ask(family, proto uint8, flags uint16, local, remote netip.AddrPort) error {
	d.seq++
	native, be := binary.NativeEndian, binary.BigEndian
	var b [unix.NLMSG_HDRLEN + requestSize]byte
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], sockDiagByFamily)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	native.PutUint32(b[8:], d.seq)
	request := b[unix.NLMSG_HDRLEN:]
	request[0], request[1] = family, proto
	native.PutUint32(request[statesAt:], ^uint32(0)) // in any state
	id := request[requestIDAt:]
	be.PutUint16(id[sportAt:], local.Port())
	if flags&unix.NLM_F_DUMP == 0 {
		be.PutUint16(id[dportAt:], remote.Port())
		copy(id[srcAt:], local.Addr().AsSlice())
		copy(id[dstAt:], remote.Addr().AsSlice())
		native.PutUint32(id[ifAt:], d.device)
	}
	native.PutUint64(id[cookieAt:], ^uint64(0)) // none
	// Unconnected it goes to the kernel, which answers before the call returns.
	if _, errno := raw.Write(d.fd, b[:]); errno != 0 {
		return fmt.Errorf("ask sock_diag: %w", errno)
	}
	return nil
}

// answers calls f with each socket in the answer to the last question.
func (d *diag) answers(dump bool, f func(*bound)) error {
	for {
		n, errno := raw.Read(d.fd, d.buf[:])
		if errno != 0 {
			return fmt.Errorf("ask sock_diag: %w", errno)
		}
		over, err := d.messages(d.buf[:n], dump, f)
		if over || err != nil {
			return err
		}
	}
}

// messages goes over the messages of one read; over says that the answer ends with them.
func (d *diag) messages(b []byte, dump bool, f func(*bound)) (over bool, err error) {
	native := binary.NativeEndian
	for len(b) >= unix.NLMSG_HDRLEN {
		length := int(native.Uint32(b))
		if length < unix.NLMSG_HDRLEN || length > len(b) {
			return true, errors.New("ask sock_diag: a message is cut off")
		}
		kind, ours, m := native.Uint16(b[4:]), native.Uint32(b[8:]) == d.seq, b[unix.NLMSG_HDRLEN:length]
		b = b[min(len(b), (length+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		switch {
		case !ours: // of a question that was given up
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR && len(m) >= 4:
			errno := unix.Errno(-int32(native.Uint32(m)))
			if errno == unix.ENOENT && !dump {
				return true, errNoSocket
			}
			return true, fmt.Errorf("ask sock_diag: %w", errno)
		case kind == sockDiagByFamily && len(m) >= messageSize:
			s := parseBound(m)
			f(&s)
			if !dump {
				return true, nil
			}
		}
	}
	return false, nil
}

// parseBound reads a struct inet_diag_msg and the attributes behind it.
func parseBound(m []byte) (s bound) {
	native, be := binary.NativeEndian, binary.BigEndian
	id := m[messageIDAt:]
	addr := func(at int) netip.Addr {
		if m[0] == unix.AF_INET {
			return netip.AddrFrom4([4]byte(id[at:]))
		}
		return netip.AddrFrom16([16]byte(id[at:])).Unmap()
	}
	s = bound{
		state: m[stateAt], uid: native.Uint32(m[uidAt:]), inode: native.Uint32(m[inodeAt:]),
		local: netip.AddrPortFrom(addr(srcAt), be.Uint16(id[sportAt:])), device: native.Uint32(id[ifAt:]),
	}
	if port := be.Uint16(id[dportAt:]); port != 0 {
		s.remote = netip.AddrPortFrom(addr(dstAt), port)
	}
	for attributes := m[messageSize:]; len(attributes) >= unix.SizeofNlAttr; {
		length := int(native.Uint16(attributes))
		if length < unix.SizeofNlAttr || length > len(attributes) {
			break
		}
		value := attributes[unix.SizeofNlAttr:length]
		switch kind := native.Uint16(attributes[2:]); {
		case kind == attrV6Only && len(value) == 1:
			s.only6 = value[0] != 0
		case kind == attrCgroup && len(value) == 8:
			s.cgroup = native.Uint64(value)
		}
		attributes = attributes[min(len(attributes), (length+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
	return s
}

// connecting returns the TCP socket that has sent a SYN between these addresses and has no answer
// yet.
func (d *diag) connecting(local, remote netip.AddrPort) (s Socket, err error) {
	if err := d.ask(family(local.Addr()), unix.IPPROTO_TCP, 0, local, remote); err != nil {
		return s, err
	}
	found := false
	err = d.answers(false, func(b *bound) {
		// Else it is the rest of another connection, or a listener. Without an inode user 0 stands
		// for none.
		found = b.state == synSent && b.local == local && b.remote == remote && b.inode != 0
		s = b.socket()
	})
	if err == nil && !found {
		err = errNoSocket
	}
	if err != nil {
		return Socket{}, err
	}
	return s, nil
}

// IsOpen reports whether a process has a TCP socket that is connected, or connects, between two
// ends, in the calling thread's network. It may be bound to an interface, 0 = none.
func IsOpen(local, remote netip.AddrPort, device int) bool {
	f, err := openNetlink()
	if err != nil {
		return false
	}
	defer f.Close()
	d := newDiag(f, device)
	if d.ask(family(local.Addr()), unix.IPPROTO_TCP, 0, local, remote) != nil {
		return false
	}
	open := false
	err = d.answers(false, func(b *bound) { // perhaps the rest of another connection, or a listener
		open = b.local == local && b.remote == remote && b.inode != 0
	})
	return err == nil && open
}
