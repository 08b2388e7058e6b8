package namespace_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/namespace"
	"syntap/tun/tuntest"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	script := filepath.Join(t.TempDir(), "script")
	tuntest.WriteProgram(t, script, []byte("echo $1; exit 9\n"))
	many := slices.Repeat([]string{"x"}, 10_000)
	tests := []struct {
		name    string
		command []string
		want    result
	}{
		{"success", []string{"true"}, result{}},
		{"failure", []string{"sh", "-c", "exit 7"}, result{Status: 7}},
		{"signal", []string{"sh", "-c", "kill -TERM $$"}, result{Status: 128 + 15}},
		{"many arguments", slices.Concat([]string{"sh", "-c", "echo $#", "sh"}, many), result{Stdout: "10000\n"}},
		{"script without interpreter", []string{script, "hello"}, result{Status: 9, Stdout: "hello\n"}},
		{"missing in PATH", []string{"no-such-command"}, result{127, "", "syntap: run \"no-such-command\": executable file not found in $PATH\n"}},
		{"missing file", []string{"./no-such-command"}, result{127, "", "syntap: run \"./no-such-command\": no such file or directory\n"}},
		{"no name", []string{""}, result{127, "", "syntap: run \"\": executable file not found in $PATH\n"}},
		{"not executable", []string{"/etc/passwd"}, result{126, "", "syntap: run \"/etc/passwd\": permission denied\n"}},
		{"directory", []string{"/"}, result{126, "", "syntap: run \"/\": is a directory\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, run(t, self(inside(tt.command...)...))); diff != "" {
				t.Errorf("session of %.80q (-want +got):\n%s", tt.command, diff)
			}
		})
	}
}

// TestLeftBehind has a command end while others that it started hold its standard output open, one
// of them in a session of its own: the end of file shows that none of them is left.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	want := result{Status: 3, Stdout: "started\n"}
	got := run(t, self(inside("sh", "-c", "sleep 3600 & setsid sleep 3600 & echo started; exit 3")...))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
}

// startReady starts a session whose command says "ready" on stdout, without a terminal, and returns
// once it did so.
func startReady(t *testing.T, command ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := self(inside(command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(2*tuntest.Patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := bufio.NewReader(stdout)
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("command said %q, %v; want ready", line, err)
	}
	return cmd, r
}

func TestKilled(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	cmd, stdout := startReady(t, "sh", "-c", "sleep 3600 & echo ready; wait")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The end of file comes when the shell and its child are gone too.
	if rest, err := io.ReadAll(stdout); err != nil || len(rest) > 0 {
		t.Errorf("command went on with %q, %v", rest, err)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	for _, sig := range []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
			cmd, stdout := startReady(t, "sh", "-c", "trap 'echo got "+name+"; exit 41' "+name+"; sleep 3600 & echo ready; wait")
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(stdout)
			if want := "got " + name + "\n"; err != nil || string(rest) != want {
				t.Errorf("command said %q, %v; want %q", rest, err, want)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != 41 {
				t.Errorf("status = %d, want 41", got)
			}
		})
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	o := options()
	o.Stdin, o.Stdout = nil, w
	o.Command = []string{"sh", "-c", "echo ready; sleep 3600"}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	s, err := namespace.Start(ctx, o)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.TUN() == nil {
		t.Error("TUN() = nil")
	}

	router := errors.New("router failed")
	go cancelWhenReady(r, func() { cancel(router) })
	status, err := s.Run()
	if status != 137 || !errors.Is(err, router) {
		t.Errorf("Run() = %d, %v; want 137, %v", status, err, router)
	}
}

// cancelWhenReady calls cancel when the command has said something.
func cancelWhenReady(r io.Reader, cancel func()) {
	_, _ = r.Read(make([]byte, 16))
	cancel()
}

func TestContextEnded(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o := options()
	o.Command = []string{"true"}
	if s, err := namespace.Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("Start = %v, %v; want %v", s, err, context.Canceled)
	}
}

func TestSurroundings(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	got := learn(t, self(inside(factsProgram)...))
	want := facts{
		Interfaces: []string{
			"lo 65536 [127.0.0.1/8 ::1/128]",
			"syntap0 1400 [198.18.0.1/30 fd53:7974::1/126]",
		},
		ProcessOne:     "syntap-init /proc/self/exe facts ",
		Processes:      2,
		ResolvConf:     got.ResolvConf, // the host's; see TestResolvConf
		PingGroupRange: got.PingGroupRange,
		UID:            os.Getuid(),
		GID:            os.Getgid(),
		Capabilities:   got.Capabilities,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if strings.Trim(got.Capabilities, "0") == "" {
		t.Errorf("capabilities of root = %s, want some", got.Capabilities)
	}
	if got.PingGroupRange == "1\t0" {
		t.Errorf("ping_group_range = %q: no group may ping", got.PingGroupRange)
	}
}

// TestInherited shows that a command inherits from the caller of syntap ignored signals and
// limits, but no descriptors.
func TestInherited(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	look := "ls /proc/$$/fd; readlink /proc/$$/fd/0; ulimit -n; kill -HUP $$; echo alive"
	cmd := exec.Command("sh", "-c", `trap "" HUP; ulimit -Sn 99; exec "$0" session -- sh -c "$1" <&- 5</dev/zero 9>/dev/null`, binary, look)
	cmd.Env = self().Env
	want := result{Stdout: "0\n1\n2\n/dev/null\n99\nalive\n"}
	if diff := cmp.Diff(want, run(t, cmd)); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
}

func TestNested(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	nested := inside(factsProgram)
	for range 2 {
		nested = inside(slices.Concat([]string{"/proc/self/exe"}, nested)...)
	}
	got := learn(t, self(nested...))
	want := []string{"lo 65536 [127.0.0.1/8 ::1/128]", "syntap0 1400 [198.18.0.1/30 fd53:7974::1/126]"}
	if diff := cmp.Diff(want, got.Interfaces); diff != "" {
		t.Errorf("interfaces in the third namespace (-want +got):\n%s", diff)
	}
}

// TestIsolated has no TUN.
func TestIsolated(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	got := learn(t, self(sessionProgram, "-tun", "", "--", "/proc/self/exe", factsProgram))
	if diff := cmp.Diff([]string{"lo 65536 [127.0.0.1/8 ::1/128]"}, got.Interfaces); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
}
