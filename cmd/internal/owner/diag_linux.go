package owner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// diag asks the kernel about sockets (sock_diag(7)).
type diag struct {
	fd  int
	seq uint32
	buf [8192]byte
}

func newDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	return &diag{fd: fd}, nil
}

// Sizes of struct inet_diag_req_v2 and struct inet_diag_msg, and the places of their members
// (linux/inet_diag.h).
const (
	sockDiagByFamily = 20
	requestSize      = 56
	messageSize      = 72
	requestIDAt      = 8
	stateAt          = 1
	synSent          = 2 // net/tcp_states.h
	messageIDAt      = 4
	portsAndAddrs    = 36 // of an ID: they tell a connection from others
	uidAt            = 64
	inodeAt          = 68
)

var errNoSocket = errors.New("no such socket")

// connecting returns the TCP socket that has sent a SYN between these addresses and has no answer
// yet.
func (d *diag) connecting(local, remote netip.AddrPort) (Socket, error) {
	d.seq++
	native, be := binary.NativeEndian, binary.BigEndian
	var b [unix.NLMSG_HDRLEN + requestSize]byte
	native.PutUint32(b[0:], uint32(len(b)))
	native.PutUint16(b[4:], sockDiagByFamily)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST)
	native.PutUint32(b[8:], d.seq)
	request := b[unix.NLMSG_HDRLEN:]
	request[0], request[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if local.Addr().Is4() {
		request[0] = unix.AF_INET
	}
	native.PutUint32(request[4:], ^uint32(0)) // in any state
	id := request[requestIDAt:]
	be.PutUint16(id[0:], local.Port())
	be.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	native.PutUint64(id[40:], ^uint64(0))             // no cookie
	if _, err := unix.Write(d.fd, b[:]); err != nil { // unconnected it goes to the kernel
		return Socket{}, fmt.Errorf("ask sock_diag: %w", err)
	}
	for {
		n, err := unix.Read(d.fd, d.buf[:])
		if err != nil {
			return Socket{}, fmt.Errorf("ask sock_diag: %w", err)
		}
		answer := d.buf[:n]
		if n < unix.NLMSG_HDRLEN || native.Uint32(answer[8:]) != d.seq {
			continue // of a question that was given up
		}
		if native.Uint16(answer[4:]) != sockDiagByFamily || n < unix.NLMSG_HDRLEN+messageSize {
			return Socket{}, errNoSocket
		}
		m := answer[unix.NLMSG_HDRLEN:]
		if m[stateAt] != synSent || !bytes.Equal(m[messageIDAt:][:portsAndAddrs], id[:portsAndAddrs]) {
			return Socket{}, errNoSocket // the rest of another connection, or a listener
		}
		s := Socket{UID: native.Uint32(m[uidAt:]), inode: native.Uint32(m[inodeAt:])}
		if s.inode == 0 { // user 0 then stands for none
			return Socket{}, errNoSocket
		}
		return s, nil
	}
}

func (d *diag) close() error { return unix.Close(d.fd) }
