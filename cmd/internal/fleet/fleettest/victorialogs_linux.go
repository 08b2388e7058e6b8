package fleettest

import (
	"net"
	"net/http"
	"os/exec"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// VictoriaLogs is the real program, with its data in a directory of the test.
type VictoriaLogs struct {
	URL string

	tb      testing.TB
	program string
	args    []string
	cmd     *exec.Cmd
	output  tuntest.Buffer
}

// StartVictoriaLogs starts it on a port of the loopback. It keeps records for ten years.
func StartVictoriaLogs(tb testing.TB, args ...string) *VictoriaLogs {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // another process may take the port: then the start fails
	v := &VictoriaLogs{
		URL: "http://" + address, tb: tb, program: Program(tb, VictoriaLogsModule),
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

// Start starts it again, after Kill, with more arguments, and waits until it answers.
func (v *VictoriaLogs) Start(args ...string) {
	v.tb.Helper()
	v.cmd = exec.Command(v.program, slices.Concat(v.args, args)...)
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

// Ended reports whether it has ended by itself.
func (v *VictoriaLogs) Ended() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, v.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// Signal sends it a signal, such as SIGSTOP and SIGCONT.
func (v *VictoriaLogs) Signal(s syscall.Signal) {
	v.tb.Helper()
	if err := v.cmd.Process.Signal(s); err != nil {
		v.tb.Fatal(err)
	}
}
