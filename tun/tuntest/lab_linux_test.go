package tuntest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { tuntest.Main(m) }

func TestLabCarriesTraffic(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	for _, host := range []string{tuntest.ServerAddr4, tuntest.ServerAddr6} {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "0"))
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				fmt.Fprint(conn, conn.RemoteAddr().(*net.TCPAddr).IP)
				conn.Close()
			}
		}()
		for from, ns := range map[string]*tuntest.Namespace{
			tuntest.ClientAddr4 + tuntest.ClientAddr6: lab.Client,
			tuntest.RouterAddr4 + tuntest.RouterAddr6: lab.Router,
		} {
			conn, err := ns.Dial(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Errorf("dial %s: %v", host, err)
				continue
			}
			got, err := io.ReadAll(conn)
			if conn.Close(); err != nil || !strings.Contains(from, string(got)) || len(got) == 0 {
				t.Errorf("%s saw a connection from %q (%v), want one of %s", host, got, err, from)
			}
		}
		lab.Client.Run("ping", "-c1", "-w60", host)
	}
}

func TestListenPacket(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	server := lab.Server.ListenPacket("udp", tuntest.ServerAddr4+":0")
	client, err := lab.Client.Dial(t.Context(), "udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	buf := make([]byte, 100)
	var n int
	var from net.Addr
	for deadline := time.Now().Add(tuntest.Patience); ; { // a datagram may be lost
		fmt.Fprint(client, "question")
		_ = server.SetReadDeadline(time.Now().Add(time.Second))
		n, from, err = server.ReadFrom(buf)
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			break
		}
	}
	if err != nil || string(buf[:n]) != "question" || from.String() != client.LocalAddr().String() {
		t.Errorf("server read %q from %v (%v), want %q from %v", buf[:n], from, err, "question", client.LocalAddr())
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	before := lab.Router.State()
	lab.Router.Drop(100, "forward", "ip daddr "+tuntest.ServerAddr4)
	if lab.Router.State() == before {
		t.Error("State does not show the rule that drops packets")
	}
	if out, err := lab.Client.Command(t.Context(), "ping", "-c1", "-W1", tuntest.ServerAddr4).CombinedOutput(); err == nil {
		t.Errorf("ping through a router that drops everything succeeded: %s", out)
	}
	lab.Client.Run("ping", "-c1", "-w60", tuntest.ServerAddr6)
}

func TestNamespacesAreApart(t *testing.T) {
	t.Parallel()
	a, b := tuntest.NewNamespace(t), tuntest.NewNamespace(t)
	before := b.State()
	a.AddAddress("lo", "192.0.2.1/32")
	if !strings.Contains(a.State(), "192.0.2.1/32") {
		t.Error("State does not show an address that was added")
	}
	if after := b.State(); after != before {
		t.Errorf("an address added to one namespace changed another:\n%s\nwas\n%s", after, before)
	}
	if host, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || host == strings.TrimSpace(a.Run("readlink", "/proc/self/ns/net")) {
		t.Errorf("the test runs in the namespace %q (%v) it has made", host, err)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	p := ns.Start("sh", "-c", `trap 'echo bye >&2; exit 3' TERM; echo ready; while :; do sleep 0.1; done`)
	tuntest.Wait(t, "the process to be ready", func() bool { return p.Stdout() == "ready\n" })
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	exit := (*exec.ExitError)(nil)
	if err := p.Err(); !errors.As(err, &exit) || exit.ExitCode() != 3 || p.Stderr() != "bye\n" {
		t.Errorf("process ended with %v and stderr %q, want exit status 3 and %q", err, p.Stderr(), "bye\n")
	}
}

func TestProcessEndsWithTest(t *testing.T) {
	t.Parallel()
	pid := 0
	t.Run("start", func(t *testing.T) {
		p := tuntest.NewNamespace(t).Start("sh", "-c", "echo $$; exec sleep 1000")
		tuntest.Wait(t, "the process to be ready", func() bool { return strings.HasSuffix(p.Stdout(), "\n") })
		fmt.Sscan(p.Stdout(), &pid)
	})
	if pid == 0 {
		t.Skip("no process was started")
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("process %d is there after its test: kill = %v", pid, err)
	}
}

// TestReexec looks around where Reexec has brought the tests. As root it first becomes another
// user.
func TestReexec(t *testing.T) {
	t.Parallel()
	if os.Getenv("SYNTAP_TUNTEST_REEXECUTED") != "" {
		if os.Geteuid() != 0 {
			t.Fatalf("runs as user %d, want 0", os.Geteuid())
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatalf("loopback does not work: %v", err)
		}
		conn.Close()
		if out, err := exec.Command("unshare", "--net", "true").CombinedOutput(); err != nil {
			t.Fatalf("no privilege for namespaces: %v: %s", err, out)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root to become another user")
	}
	if out, err := exec.Command("unshare", "--user", "true").CombinedOutput(); err != nil {
		t.Skipf("needs user namespaces: %v: %s", err, out)
	}

	// A path that every user may execute: the build directory is root's alone, and so is the
	// result of t.TempDir.
	dir, err := os.MkdirTemp("", "tuntest") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tuntest.test")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	tuntest.WriteProgram(t, path, binary)
	cmd := exec.CommandContext(t.Context(), path, "-test.run=^TestReexec$", "-test.v")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestReexec") {
		t.Errorf("run as another user: %v\n%s", err, out)
	}
}
