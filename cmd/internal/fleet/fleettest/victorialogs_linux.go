package fleettest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// Version of VictoriaLogs that the tests run.
const Version = "v1.52.1"

// VictoriaLogs is the real program, with its data in a directory of the test.
type VictoriaLogs struct {
	URL string

	tb      testing.TB
	program string
	args    []string
	cmd     *exec.Cmd
	output  tuntest.Buffer
}

// StartVictoriaLogs starts it on a port of the loopback. It keeps records for ten years. The test
// is skipped where the program cannot be had; with SYNTAP_REQUIRE_NETNS=1 it fails.
func StartVictoriaLogs(tb testing.TB, args ...string) *VictoriaLogs {
	tb.Helper()
	program, err := build()
	switch {
	case err == nil:
	case os.Getenv("SYNTAP_REQUIRE_NETNS") == "1":
		tb.Fatalf("SYNTAP_REQUIRE_NETNS=1, but there is no VictoriaLogs: %v", err)
	default:
		tb.Skipf("needs VictoriaLogs: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // another process may take the port: then the start fails
	v := &VictoriaLogs{
		URL: "http://" + address, tb: tb, program: program,
		args: append([]string{
			"-httpListenAddr=" + address, "-storageDataPath=" + tb.TempDir(),
			"-retentionPeriod=10y", "-futureRetention=1y", "-memory.allowedBytes=256MiB",
		}, args...),
	}
	tb.Cleanup(func() {
		v.Kill()
		if tb.Failed() {
			text := v.output.String()
			tb.Logf("VictoriaLogs: %s", text[max(0, len(text)-4000):])
		}
	})
	v.Start()
	return v
}

// Start starts it again, after Kill, and waits until it answers.
func (v *VictoriaLogs) Start() {
	v.tb.Helper()
	v.cmd = exec.Command(v.program, v.args...)
	v.cmd.Stdout, v.cmd.Stderr = &v.output, &v.output
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := v.cmd.Start(); err != nil {
		v.tb.Fatal(err)
	}
	tuntest.Wait(v.tb, "VictoriaLogs", func() bool {
		answer, err := http.Get(v.URL + "/health")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// Kill ends it as a crash would.
func (v *VictoriaLogs) Kill() {
	if v.cmd == nil {
		return
	}
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait() // it was killed
	v.cmd = nil
}

// Signal sends it a signal, such as SIGSTOP and SIGCONT.
func (v *VictoriaLogs) Signal(s syscall.Signal) {
	v.tb.Helper()
	if err := v.cmd.Process.Signal(s); err != nil {
		v.tb.Fatal(err)
	}
}

// build returns the path of the program. It is built once a machine.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "syntap-test")
	program := filepath.Join(dir, "victoria-logs-"+Version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(program+".lock", os.O_CREATE|os.O_RDWR, 0o600) // tests of other packages build it too
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	made := filepath.Join(dir, "build")
	defer os.RemoveAll(made)
	install := exec.CommandContext(ctx, "go", "install",
		"github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@"+Version)
	install.Dir = os.TempDir() // not in a module
	install.Env = append(os.Environ(), "GOBIN="+made, "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := install.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(string(text[max(0, len(text)-1000):])))
	}
	return program, os.Rename(filepath.Join(made, "victoria-logs"), program)
}
