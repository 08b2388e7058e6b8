package tuntest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command returns a command that runs in the namespace, in a process group of its own. The end of
// ctx, or of the test process, kills it.
func (ns *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), int(ns.handle))
	cmd := exec.CommandContext(ctx, "nsenter", slices.Concat([]string{enter, "--", name}, args)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = Patience
	return cmd
}

// commandTimeout ends a command that hangs.
const commandTimeout = 2 * time.Minute

// Run runs a command to its end and returns its stdout. The test fails when the
// command does.
func (ns *Namespace) Run(name string, args ...string) string {
	ns.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := ns.Command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		ns.tb.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// Process is a command that runs beside the test. It is killed when the test ends, if it runs so
// long; where the test has failed, the end of its output goes to the test's log.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr Buffer
	done           chan struct{} // closed when the process has ended
	err            error         // of its end; valid once done is closed
}

// Start starts a command in the namespace.
func (ns *Namespace) Start(name string, args ...string) *Process {
	ns.tb.Helper()
	ctx, kill := context.WithCancel(context.Background())
	p := &Process{cmd: ns.Command(ctx, name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		kill()
		ns.tb.Fatalf("start %s: %v", name, err)
	}
	go p.wait()
	ns.tb.Cleanup(func() {
		kill()
		<-p.done
		if ns.tb.Failed() {
			ns.tb.Logf("%s %s: %v\nstdout: %s\nstderr: %s", name, strings.Join(args, " "), p.err, end(p.Stdout()), end(p.Stderr()))
		}
	})
	return p
}

// end returns the last part of a long text.
func end(s string) string { return s[max(0, len(s)-4000):] }

func (p *Process) wait() {
	defer close(p.done)
	p.err = p.cmd.Wait()
}

// Stdout returns the process's standard output so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns the process's standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends the process a signal, and none to its children.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err returns how the process ended, once Done is closed: nil or an *exec.ExitError.
func (p *Process) Err() error { return p.err }
