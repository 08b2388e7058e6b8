package namespace

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// terminal is our controlling terminal, in which the command is to be found as if it had been
// started without us. A nil terminal is none.
type terminal struct {
	file  *os.File
	modes *unix.Termios // as found

	// Process groups.
	ours   int
	inner  int // led by init and, at first, the command's; 0 if these are members of ours
	holder int // the one inside that had the terminal when we were stopped, or 0
}

func openTerminal() *terminal {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		_ = unix.Close(fd)
		return nil
	}
	return &terminal{file: os.NewFile(uintptr(fd), "/dev/tty"), modes: modes, ours: unix.Getpgrp()}
}

func (t *terminal) close() {
	if t != nil {
		_ = t.file.Close()
	}
}

// isJob reports whether we are the only member of a job that an interactive shell runs at the
// terminal: we lead a group but not the session, and no pipe leads to another member. Only then may
// the command have a group of its own. It sees its number then, while in ours getpgrp returns 0;
// dash fails on that when it ends.
func (t *terminal) isJob(files ...*os.File) bool {
	if t == nil || t.ours != os.Getpid() {
		return false
	}
	if session, err := unix.Getsid(0); err != nil || session == t.ours {
		return false
	}
	for _, f := range files {
		if f == nil {
			return false
		}
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
			return false
		}
	}
	return true
}

// foreground returns the process group that the terminal talks to, -1 if none can be told.
func (t *terminal) foreground() int {
	group, err := unix.IoctlGetInt(int(t.file.Fd()), unix.TIOCGPGRP)
	if err != nil {
		return -1
	}
	return group
}

func (t *terminal) setForeground(group int) {
	_ = unix.IoctlSetPointerInt(int(t.file.Fd()), unix.TIOCSPGRP, group) // the group may be gone
}

// talksToUs reports whether a key of the terminal signals us.
func (t *terminal) talksToUs() bool { return t != nil && t.foreground() == t.ours }

// sharesGroup reports whether the command is in our process group at the terminal.
func (t *terminal) sharesGroup() bool { return t != nil && t.inner == 0 }

// talksToCommand reports whether a key that signals us signals the command with us.
func (t *terminal) talksToCommand() bool { return t.sharesGroup() && t.talksToUs() }

// lend gives the terminal, if it is ours to give, to the group inside that had it before, and has
// the inner group go on.
func (t *terminal) lend() {
	if t == nil {
		return
	}
	group := t.inner
	if t.holder != 0 {
		group = t.holder
	}
	if group != 0 && t.talksToUs() {
		t.setForeground(group)
		t.holder = 0
	}
	if t.inner != 0 {
		_ = unix.Kill(-t.inner, unix.SIGCONT) // an error: it has ended
	}
}

// commandStopped stops us too, so that the shell which started us sees a stopped job and takes the
// terminal. But when the terminal is ours, the command has stopped for want of it: the shell has
// brought us to the foreground. init is the command's.
func (t *terminal) commandStopped(init int) {
	if t == nil {
		return
	}
	if t.inner != 0 && t.talksToUs() {
		t.lend()
		return
	}
	t.holder = 0
	if group := t.foreground(); samePIDNamespace(group, init) {
		t.holder = group
	}
	stopSelf()
}

func samePIDNamespace(pid, other int) bool {
	a, err := os.Stat(fmt.Sprintf("/proc/%d/ns/pid", pid))
	if err != nil {
		return false
	}
	b, err := os.Stat(fmt.Sprintf("/proc/%d/ns/pid", other))
	return err == nil && os.SameFile(a, b)
}

// stopSelf returns after SIGCONT, or at once where no shell could send one: the kernel discards
// SIGTSTP in an orphaned process group (POSIX XSH 2.4.3), but only one with the default action.
// That takes a system call, because signal.Reset keeps Go's handler.
func stopSelf() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var byDefault, found [8]uintptr // struct sigaction, at least
	if setAction(unix.SIGTSTP, &byDefault, &found) == 0 {
		_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGTSTP)
		_ = setAction(unix.SIGTSTP, &found, &byDefault)
	}
}

func setAction(sig unix.Signal, action, previous *[8]uintptr) syscall.Errno {
	const maskSize = 8 // bytes of the kernel's sigset_t
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(previous)), maskSize, 0, 0)
	return errno
}

// restore takes the terminal back from a group inside and, after a command that was killed, undoes
// its changes of the modes.
func (t *terminal) restore(killed bool) {
	if t == nil {
		return
	}
	if group := t.foreground(); group > 1 && group != t.ours && (group == t.inner || unix.Kill(-group, 0) == unix.ESRCH) {
		t.setForeground(t.ours)
	}
	if killed && t.talksToUs() {
		_ = unix.IoctlSetTermios(int(t.file.Fd()), unix.TCSETS, t.modes)
	}
}
