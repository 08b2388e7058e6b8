package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// initName is the name by which a process knows that it is to be init, and under which ps shows it.
const initName = "syntap-init"

// channelFD is where init finds its end of the channel.
const channelFD = 3

// Exit statuses of a command that could not be run (POSIX XCU 2.8.2), and the base for one that a signal ended.
const (
	statusNotExecutable = 126
	statusNotFound      = 127
	statusSignalled     = 128
)

// Main turns this process into the init of a session if it was started as one, and does not return then. The program's
// main calls it before anything else.
func Main() {
	if os.Args[0] == initName {
		os.Exit(runInit(os.Args[1:]))
	}
}

// runInit furnishes the namespaces, runs the command when told to and returns its exit status. As process 1 of the PID
// namespace it takes every other process there with it.
func runInit(command []string) int {
	unix.CloseOnExec(channelFD)
	ch, err := openChannel(channelFD)
	if err != nil {
		return 1
	}
	outliveTerminal()
	var s setup
	if _, err := ch.receive(&s); err != nil {
		return 1
	}
	if err := furnish(s, ch); err != nil {
		_ = ch.send(failure(err))
		return 1
	}

	var o order
	if _, err := ch.receive(&o); err != nil {
		return 1
	}
	pid, err := spawn(command)
	if err != nil {
		_ = ch.send(failure(fmt.Errorf("run %q: %w", command[0], err)))
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return statusNotFound
		}
		return statusNotExecutable
	}
	go obey(ch, pid)
	return reap(ch, pid)
}

// outliveTerminal keeps init alive when the terminal signals the whole process group: whether to end is the command's
// decision. A signal that is ignored already stays so, because the command inherits that.
func outliveTerminal() {
	discard := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM} {
		if !signal.Ignored(sig) {
			signal.Notify(discard, sig)
		}
	}
}

// furnish does what s says and reports it, with the TUN.
func furnish(s setup, ch channel) error {
	if s.OwnGroup {
		if err := unix.Setpgid(0, 0); err != nil {
			return fmt.Errorf("lead a process group: %w", err)
		}
	}
	if err := mountPrivately(s.ResolvConf); err != nil {
		return err
	}
	if err := raiseLoopback(); err != nil {
		return err
	}
	permitPing()
	if s.TUN == "" {
		return ch.send(report{Ready: true})
	}
	dev, err := createTUN(s)
	if err != nil {
		return err
	}
	// The session has the descriptor now and keeps the interface alive.
	defer dev.Close()
	return ch.send(report{Ready: true}, int(dev.File().Fd()))
}

func failure(err error) report {
	r := report{Failed: err.Error()}
	errors.As(err, &r.Errno)
	return r
}

// spawn starts the command with init's standard descriptors and nothing else: init opens every file with O_CLOEXEC.
// It has the capabilities that its user has by nature: root all that the user namespace offers, anybody else none.
func spawn(command []string) (pid int, err error) {
	path, err := exec.LookPath(command[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return 0, cause(err)
	}
	// The other threads keep theirs: a command of the same user must not get at them by ptrace.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("deny tracing of init: %w", err)
	}
	runtime.LockOSThread() // for good: this thread has lost its capabilities
	if err := dropCapabilities(); err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}}
	pid, err = syscall.ForkExec(path, command, attr)
	if err == syscall.ENOEXEC {
		// A script without "#!" is one for the shell (POSIX XSH exec, ENOEXEC).
		pid, err = syscall.ForkExec("/bin/sh", append([]string{"sh", path}, command[1:]...), attr)
	}
	return pid, err
}

// cause strips what a failed look-up repeats about the name.
func cause(err error) error {
	if e := (*exec.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return err
}

// dropCapabilities empties all sets of this thread but the bounding one; the ambient set follows the others. The next
// execve computes them anew from the user id (capabilities(7)).
func dropCapabilities() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&hdr, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// obey passes the session's signals on to the command. Without a session there is no way out any more and no use in
// going on.
func obey(ch channel, pid int) {
	for {
		var o order
		if _, err := ch.receive(&o); err != nil {
			os.Exit(statusSignalled + int(unix.SIGKILL))
		}
		_ = unix.Kill(pid, o.Signal) // gone already: its status is on the way
	}
}

// reap waits for the command and for every orphan of the namespace, and returns the command's status.
func reap(ch channel, pid int) int {
	for {
		var status unix.WaitStatus
		child, err := unix.Wait4(-1, &status, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR || child != pid:
		case status.Stopped():
			_ = ch.send(report{Stopped: true})
		case status.Signaled():
			return statusSignalled + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}
