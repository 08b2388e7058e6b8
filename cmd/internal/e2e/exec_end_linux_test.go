package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestExecDelivers has a command write and end at once: its bytes arrive, and its status
// stays.
func TestExecDelivers(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash")
	const size = 400_000 // more than the server takes before it reads
	lab := tuntest.NewLab(t)
	release, received := make(chan struct{}), make(chan string)
	go serveAll(lab.Server.Listen("tcp", ":9000"), func(conn *net.TCPConn) {
		_ = conn.SetReadBuffer(1 << 14)
		<-release
		n, err := io.Copy(io.Discard, conn)
		received <- fmt.Sprint(n, err)
	})
	for _, host := range addresses() {
		p := lab.Router.Start(binary, "exec", "--drain", tuntest.Patience.String(), "-o", "/dev/null", "--", "bash", "-c", fmt.Sprintf("head -c %d /dev/zero >/dev/tcp/%s/9000; echo written; exit 7", size, host))
		tuntest.Wait(t, "the command's end", func() bool { return strings.Contains(p.Stdout(), "written") })
		release <- struct{}{}
		select {
		case got := <-received:
			if want := fmt.Sprint(size, nil); got != want {
				t.Errorf("the server %s got %s, want %s", host, got, want)
			}
		case <-time.After(tuntest.Patience):
			t.Fatalf("the server %s got no end", host)
		}
		<-p.Done()
		if p.Err() == nil || p.Err().Error() != "exit status 7" || p.Stderr() != "" {
			t.Errorf("exec ended with %v and %q, want status 7", p.Err(), p.Stderr())
		}

		conn := lab.Server.ListenPacket("udp", net.JoinHostPort(host, "9001"))
		const datagrams = 20
		for range datagrams {
			command(t, lab.Router, binary, "exec", "-o", "/dev/null", "--", "bash", "-c", "echo hello >/dev/udp/"+host+"/9001")
		}
		if err := conn.SetReadDeadline(time.Now().Add(tuntest.Patience)); err != nil {
			t.Fatal(err)
		}
		for i := range datagrams {
			if _, _, err := conn.ReadFrom(make([]byte, 100)); err != nil {
				t.Fatalf("%d of %d datagrams to %s came: %v", i, datagrams, host, err)
			}
		}
	}
}

// TestExecDrain has a command end while its far side takes nothing.
func TestExecDrain(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "pgrep")
	lab := tuntest.NewLab(t)
	ends := make(chan error, 1)
	release := make(chan struct{})
	listener := lab.Server.Listen("tcp", tuntest.ServerAddr4+":9000")
	limitReadBuffer(t, listener)
	go serveAll(listener, func(conn *net.TCPConn) {
		<-release
		_, err := io.Copy(io.Discard, conn)
		ends <- err
	})
	const upload = "head -c 400000 /dev/zero >/dev/tcp/" + tuntest.ServerAddr4 + "/9000; echo written; exit 7"
	checkCut := func(p *tuntest.Process) {
		t.Helper()
		select {
		case <-p.Done():
		case <-time.After(tuntest.Patience):
			t.Fatalf("exec waits for %v", tuntest.Patience)
		}
		if p.Err() == nil || p.Err().Error() != "exit status 7" || !strings.Contains(p.Stderr(), "reset connections") {
			t.Errorf("exec ended with %v and %q, want status 7 and a warning", p.Err(), p.Stderr())
		}
		release <- struct{}{}
		if err := <-ends; err == nil {
			t.Error("the server took what it got for whole")
		}
	}
	checkCut(lab.Router.Start(binary, "exec", "--drain", "200ms", "-o", "/dev/null", "--", "bash", "-c", upload))

	p := lab.Router.Start(binary, "exec", "--drain", "1h", "-o", "/dev/null", "--", "bash", "-c", "trap '' INT; "+upload)
	tuntest.Wait(t, "the command's end", func() bool { return strings.Contains(p.Stdout(), "written") })
	tuntest.Wait(t, "bash to be gone", func() bool {
		return exec.Command("pgrep", "-f", "^bash -c trap '' INT; head").Run() != nil
	})
	clock := startRunTime(t.Context())
	for range 6 { // the first may come before exec has noticed the command's end, and go to it
		if err := p.Signal(unix.SIGINT); err != nil {
			break
		}
		began := clock.now()
		tuntest.Wait(t, "exec to end", func() bool { // one more signal meanwhile would kill it
			select {
			case <-p.Done():
				return true
			default:
				return clock.now()-began > 5*time.Second
			}
		})
	}
	checkCut(p)
}

// limitReadBuffer has the connections of a listener take little before they are read: the kernel of
// the sender then cannot have taken all.
func limitReadBuffer(t *testing.T, l net.Listener) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<14)
	})
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
}
