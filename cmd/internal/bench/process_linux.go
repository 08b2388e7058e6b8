package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that runs in a namespace.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	done   chan struct{} // closed when the process has ended; only then stderr may be read
}

// newProcess prepares a program. The end of ctx ends it, by SIGTERM at first; that of this process
// kills it.
func newProcess(ctx context.Context, command []string) *process {
	p := &process{cmd: exec.CommandContext(ctx, command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(unix.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.Stderr = &p.stderr
	return p
}

func (p *process) start(ns namespace) error {
	if err := ns.do(p.cmd.Start); err != nil {
		close(p.done)
		return fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	go p.wait()
	return nil
}

func (p *process) wait() {
	defer close(p.done)
	_ = p.cmd.Wait() // ended tells how
}

// ended returns how the process has ended and its last message. It waits for the end.
func (p *process) ended() error {
	<-p.done
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	return fmt.Errorf("%s ended: %v: %s", strings.Join(p.cmd.Args, " "), p.cmd.ProcessState, lines[len(lines)-1])
}

// all returns the process and those that it has started and that are its children now: a program
// may be several.
func (p *process) all() []int {
	pids := []int{p.cmd.Process.Pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	for _, list := range lists {
		children, _ := os.ReadFile(list) // of a thread that may have ended
		for child := range strings.FieldsSeq(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// cpu returns the processor time that all threads of the program have used, to the nanosecond.
func (p *process) cpu() (sum time.Duration, err error) {
	const cpuClockSched = 2 // CPUCLOCK_SCHED; the formula is that of clock_getcpuclockid(3)
	for _, pid := range p.all() {
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid)<<3|cpuClockSched, &ts); err != nil {
			return 0, fmt.Errorf("read CPU clock: %w", err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// memory is the proportional set size of a program in bytes: of a page that several processes have,
// each counts its part.
type memory struct {
	all int
	own int // without pages of files, which the kernel keeps in its cache anyway
}

// memory returns that of all processes of the program.
func (p *process) memory() (sum memory, err error) {
	for _, pid := range p.all() {
		path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
		all, err := statusField(path, "Pss")
		if err != nil {
			return sum, err
		}
		files, err := statusField(path, "Pss_File")
		if err != nil {
			return sum, err
		}
		sum.all += all << 10
		sum.own += (all - files) << 10
	}
	return sum, nil
}

// wakeups returns how often threads of the program have slept until now.
func (p *process) wakeups() (sum int, err error) {
	for _, pid := range p.all() {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			return 0, fmt.Errorf("read threads of process %d: there are none", pid)
		}
		for _, thread := range threads {
			n, err := statusField(thread, "voluntary_ctxt_switches")
			if os.IsNotExist(err) {
				continue // it has ended since
			} else if err != nil {
				return 0, err
			}
			sum += n
		}
	}
	return sum, nil
}

// statusField returns a number from a status file of proc(5).
func statusField(path, name string) (int, error) {
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			if f := strings.Fields(value); len(f) > 0 {
				return strconv.Atoi(f[0])
			}
		}
	}
	return 0, fmt.Errorf("read %s: no %s", path, name)
}
