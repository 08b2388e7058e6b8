package sockets

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"syntap/stack/farseq"
	"syntap/tun/raw"
)

// Settings are those of the sockets that a Server makes.
type Settings struct {
	Mark      uint32 // SO_MARK; 0 = none
	Interface string // SO_BINDTODEVICE; "" = the host's routes decide
	// Buffer is the size of the buffers of sockets for datagrams, in bytes, also beyond
	// net.core.rmem_max and wmem_max; the kernel doubles it. 0 = the host's default.
	Buffer int
}

// Server makes sockets for another process.
type Server struct {
	conn     *net.UnixConn
	settings atomic.Pointer[Settings]
	refuses  atomic.Bool
	attach   *rate.Limiter
}

// NewServer returns a server at one end of a socket of type SOCK_SEQPACKET, which it takes over.
func NewServer(conn *net.UnixConn, s Settings) *Server {
	v := &Server{conn: conn, attach: rate.NewLimiter(attachRate, attachRate)}
	v.SetSettings(s)
	return v
}

// SetSettings puts other settings in force for the sockets to come.
func (v *Server) SetSettings(s Settings) { v.settings.Store(&s) }

// Refuse has the server make no more sockets: requests fail with EPERM.
func (v *Server) Refuse() { v.refuses.Store(true) }

// Serve answers requests until the other side is gone, which is no error, or Close.
func (v *Server) Serve() error {
	var b [requestLen + 1]byte // one byte more shows a longer one
	for {
		n, fds, err := receive(v.conn, b[:], 1)
		switch {
		case err == nil:
			err = v.answer(b[:n], fds)
		case errors.Is(err, unix.EMFILE):
			err = v.reply(unix.EMFILE, nil)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
			return nil
		case err != nil:
			return err
		}
	}
}

// Close ends Serve.
func (v *Server) Close() error { return v.conn.Close() }

// answer does what a request asks for, with the descriptors that came along. It closes these before
// it answers: a socket that the router closes then ends at once.
func (v *Server) answer(b []byte, along []int) error {
	made, err := v.do(b, along)
	defer closeAll(made)
	closeAll(along)
	return v.reply(err, made)
}

func (v *Server) do(b []byte, along []int) (made []int, err error) {
	var q request
	switch ok := q.unmarshal(b); {
	case ok && v.refuses.Load():
		return nil, unix.EPERM
	case ok && q.Op == opOpen && q.Kind < kinds && q.Count >= 1 && q.Count <= Batch && len(along) == 0:
		return v.open(all[q.Kind], int(q.Count))
	case ok && q.Op == opBind && len(along) == 1:
		return nil, v.bind(along[0], &q)
	case ok && q.Op == opAttach && len(along) == 1:
		return nil, v.attachTo(along[0], &q)
	}
	return nil, unix.EINVAL
}

// open makes some sockets; fewer where the kernel refuses to make all.
func (v *Server) open(a arguments, count int) (fds []int, err error) {
	for len(fds) < count {
		fd, err := v.socket(a)
		if err != nil && len(fds) == 0 {
			return nil, err
		}
		if err != nil {
			break
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func (v *Server) socket(a arguments) (int, error) {
	fd, err := unix.Socket(a.family, a.typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, a.proto)
	if err != nil {
		return -1, err
	}
	if a.family == unix.AF_NETLINK {
		return fd, nil
	}
	s := v.settings.Load()
	if err := s.set(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	if a.typ != unix.SOCK_STREAM && s.Buffer > 0 {
		// Without CAP_NET_ADMIN the router does what the host's limits allow.
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, int32(s.Buffer))
		_ = raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, int32(s.Buffer))
	}
	return fd, nil
}

func (s *Settings) set(fd int) error {
	if s.Mark != 0 {
		if err := raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_MARK, s.Mark); err != nil {
			return err
		}
	}
	if s.Interface != "" {
		return unix.BindToDevice(fd, s.Interface)
	}
	return nil
}

// bind binds a socket of the router to a system port (RFC 6335 §6), at an address of the router's
// choosing: other ports it can bind itself.
func (v *Server) bind(fd int, q *request) error {
	if err := internet(fd); err != nil {
		return err
	}
	if q.Port == 0 || q.Port >= systemPorts {
		return unix.EINVAL
	}
	addr := netip.AddrFrom16(q.Addr).Unmap()
	if addr.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(q.Port), Addr: addr.As4()})
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Port: int(q.Port), ZoneId: q.Zone, Addr: addr.As16()})
}

const systemPorts = 1024

// internet refuses sockets of other families than IP: to bind one of unix(7) makes a file.
func internet(fd int) error {
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	if family != unix.AF_INET && family != unix.AF_INET6 {
		return unix.EAFNOSUPPORT
	}
	return nil
}

// attachTo attaches a filter to a TCP socket of the router with the mark of upstream sockets. The
// router chooses two numbers in it, and may detach it itself.
func (v *Server) attachTo(fd int, q *request) error {
	if err := internet(fd); err != nil {
		return err
	}
	for _, o := range []struct {
		option int
		want   uint32
	}{
		{unix.SO_TYPE, unix.SOCK_STREAM}, {unix.SO_PROTOCOL, unix.IPPROTO_TCP}, {unix.SO_MARK, v.settings.Load().Mark},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o.option)
		if err != nil {
			return err
		}
		if uint32(got) != o.want {
			return unix.EINVAL
		}
	}
	if !v.attach.Allow() {
		return unix.EAGAIN
	}
	return farseq.Attach(fd, q.Ack, q.Seq)
}

// reply sends a result, 0 or the number of an error, in decimal digits.
func (v *Server) reply(result error, fds []int) error {
	var errno unix.Errno
	if result != nil && !errors.As(result, &errno) {
		errno = unix.EIO
	}
	return send(v.conn, strconv.AppendUint(nil, uint64(errno), 10), fds...)
}
