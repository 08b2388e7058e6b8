package e2e_test

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestUrgentData sends urgent bytes both ways, as telnet and FTP do. Each arrives, in its place in
// the stream.
func TestUrgentData(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	run(t, lab.Router, "syntap0", everything)
	for _, host := range addresses() {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
		go serveAll(l, func(conn *net.TCPConn) { // without SO_OOBINLINE: urgent bytes would be missing
			for takeUrgent(conn) == urgent && sendUrgent(conn) == nil {
			}
		})
		conn := dial(t, lab.Router, l.Addr().String()).(*net.TCPConn)
		for range 200 {
			if err := sendUrgent(conn); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(tuntest.Patience))
			if got := takeUrgent(conn); got != urgent {
				t.Fatalf("client of %s has received %q, want %q", host, got, urgent)
			}
		}
	}
}

const urgent = "before!after"

func takeUrgent(conn *net.TCPConn) string {
	b := make([]byte, len(urgent))
	n, _ := io.ReadFull(conn, b)
	return string(b[:n])
}

func sendUrgent(conn *net.TCPConn) error {
	if _, err := conn.Write([]byte("before")); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil)
		return err != unix.EAGAIN
	})
	if controlErr != nil {
		return controlErr
	}
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("after"))
	return err
}
