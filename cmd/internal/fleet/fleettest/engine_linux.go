package fleettest

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// The engines and what stands in front of them.
const (
	VictoriaLogsModule = "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1"
	VMAuthModule       = "github.com/VictoriaMetrics/VictoriaMetrics/app/vmauth@v1.146.1-0.20260630165203-c82127b6d4d1"
	NATSModule         = "github.com/nats-io/nats-server/v2@v2.15.2"
)

// Program returns the path of a program, which is built once for all tests of this machine and
// user. It skips the test where that cannot be; with SYNTAP_REQUIRE_NETNS=1 it fails it.
func Program(tb testing.TB, module string) string {
	tb.Helper()
	file, err := install(module)
	switch {
	case err == nil:
	case os.Getenv("SYNTAP_REQUIRE_NETNS") == "1":
		tb.Fatal(err)
	default:
		tb.Skip(err)
	}
	return file
}

// install builds a program, unless it is there.
func install(module string) (file string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name, version, _ := strings.Cut(module, "@")
	base := path.Base(name)
	if base == "v2" {
		base = path.Base(path.Dir(name))
	}
	dir := filepath.Join(cache, "syntap-test", base+"@"+version)
	file = filepath.Join(dir, base)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil { // other tests build it, too
		return "", err
	}
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	cmd := exec.Command("go", "install", module)
	cmd.Dir = dir // no module's
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w\n%s", module, err, out)
	}
	return file, nil
}

var addresses atomic.Uint32

// Address returns an address of the loopback that no other test of this machine has, so that
// servers have the ports that they are known by.
func Address() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4(
		[4]byte{127, byte(1 + pid/250%250), byte(1 + pid%250), byte(1 + addresses.Add(1)%250)},
	)
}

// Server is a program that runs beside a test, and ends with it.
type Server struct {
	tb   testing.TB
	name string
	args []string
	log  tuntest.Buffer
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// Start starts a program. What it prints is shown when the test fails.
func Start(tb testing.TB, name string, args ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, name: name, args: args}
	s.Restart()
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			text := s.Log()
			tb.Logf("%s: %s", filepath.Base(name), text[max(0, len(text)-4000):])
		}
	})
	return s
}

// Restart starts the program again after it has ended.
func (s *Server) Restart() {
	s.tb.Helper()
	s.cmd = exec.Command(s.name, s.args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	s.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait()
	}(s.cmd, s.done)
}

// Kill ends the program and its children as kill -9 does, and waits until they have gone.
func (s *Server) Kill() {
	_ = unix.Kill(-s.PID(), unix.SIGKILL)
	<-s.done
}

// Signal sends the program a signal.
func (s *Server) Signal(sig os.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// Wait waits for the end of the program.
func (s *Server) Wait() {
	s.tb.Helper()
	tuntest.Wait(s.tb, filepath.Base(s.name)+" to end", func() bool {
		select {
		case <-s.done:
			return true
		default:
			return false
		}
	})
}

// Log returns the output of the program.
func (s *Server) Log() string { return s.log.String() }

// PID returns the number of the process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Usage returns the processor time that the program has used, and the most memory that it has had
// in bytes.
func (s *Server) Usage() (cpu time.Duration, peak int64) {
	s.tb.Helper()
	dir := fmt.Sprintf("/proc/%d/", s.PID())
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		s.tb.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after) // from state on, the third of proc_pid_stat(5)
	for _, field := range fields[11:13] {
		ticks, _ := strconv.ParseInt(field, 10, 64)
		cpu += time.Duration(ticks) * time.Second / 100 // USER_HZ
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		s.tb.Fatal(err)
	}
	_, after, _ = strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(after, &peak)
	return cpu, peak << 10
}

// DiskUsage returns the bytes of all files in a directory.
func DiskUsage(tb testing.TB, dir string) (size int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return size
}
