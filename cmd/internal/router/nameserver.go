//go:build linux

package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/stack/dial"
)

// dnsSockets are those at which a router answers the queries of exec's command. Its keeper opens
// them, in the network of upstream sockets.
type dnsSockets struct {
	udp *net.UDPConn
	tcp *net.TCPListener
}

// dnsSocketsOf takes over the files that the keeper has sent.
func dnsSocketsOf(files []*os.File) (*dnsSockets, error) {
	defer channel.CloseFiles(files)
	packets, udpErr := net.FilePacketConn(files[0])
	listener, tcpErr := net.FileListener(files[1])
	if err := errors.Join(udpErr, tcpErr); err != nil {
		return nil, fmt.Errorf("listen for DNS queries: %w", err)
	}
	udp, isUDP := packets.(*net.UDPConn)
	tcp, isTCP := listener.(*net.TCPListener)
	if !isUDP || !isTCP {
		return nil, errors.New("listen for DNS queries: the sockets are others")
	}
	return &dnsSockets{udp, tcp}, nil
}

// dialNameserver opens a connection to a nameserver, by a socket like those of clients.
func (r *router) dialNameserver(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error) {
	family, typ := unix.AF_INET6, unix.SOCK_STREAM
	if server.Addr().Is4() {
		family = unix.AF_INET
	}
	if network == "udp" {
		typ = unix.SOCK_DGRAM
	}
	fd, err := r.sockets.Open(family, typ, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	errno := dial.Connect(fd, server)
	f := os.NewFile(uintptr(fd), "nameserver")
	defer f.Close() // FileConn duplicates it
	if errno != 0 && errno != unix.EINPROGRESS {
		return nil, fmt.Errorf("connect to nameserver %s: %w", server, errno)
	}
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("connect to nameserver %s: %w", server, err)
	}
	if errno == unix.EINPROGRESS {
		if err := connected(ctx, conn); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("connect to nameserver %s: %w", server, err)
		}
	}
	return conn, nil
}

// connected waits until a connection that has begun is made, or ctx ends.
func connected(ctx context.Context, conn net.Conn) error {
	raw, err := conn.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	waited := false
	var errno int
	var optErr error
	err = raw.Write(func(fd uintptr) bool {
		if !waited {
			waited = true
			return false
		}
		errno, optErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		return true
	})
	if err = errors.Join(err, optErr); err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}
