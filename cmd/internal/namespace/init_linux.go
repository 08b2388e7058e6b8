package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
)

// Names by which a process knows that it is to be a part of a session, and under which ps shows it.
const (
	initName = "syntap-init"
	doorName = "syntap-door"
)

// Exit statuses of a command that could not be run (POSIX XCU 2.8.2), and the base for one that a
// signal ended.
const (
	statusNotExecutable = 126
	statusNotFound      = 127
	statusSignalled     = 128
)

// Main turns this process into a part of a session if it was started as one, and does not return
// then. The program's main calls it before anything else.
func Main() {
	switch os.Args[0] {
	case initName:
		runInit(os.Args[1:])
		os.Exit(1)
	case doorName:
		os.Exit(runDoor(os.Args[1:]))
	}
}

// runInit furnishes the namespaces, has the command run when told to and waits for its end. As
// process 1 of the PID namespace it takes every other process there with it. It returns only if it
// cannot have the command run.
func runInit(command []string) {
	unix.CloseOnExec(channel.FD)
	ch, err := channel.Open(channel.FD)
	if err != nil {
		return
	}
	outliveTerminal()
	var s setup
	files, err := ch.Receive(&s)
	if err != nil {
		return
	}
	var network *os.File
	if len(files) > 0 {
		network = files[0]
	}
	covers := &covers{}
	d, err := furnish(s, ch, covers, command, network)
	if err != nil {
		_ = ch.Send(failure(err))
		return
	}
	// A command of the same user must not get at init by ptrace.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		_ = ch.Send(failure(fmt.Errorf("deny tracing of init: %w", err)))
		return
	}
	go obey(ch, d, covers)
	status := reap(ch, d)
	killRest()
	<-d.heard
	_ = ch.Send(report{Ended: true, Status: status})
	select {} // until the channel ends
}

// outliveTerminal keeps init alive when the terminal signals the whole process group: whether to
// end is the command's decision. A signal that is ignored already stays so, because the command
// inherits that.
func outliveTerminal() {
	discard := make(chan os.Signal, 1)
	for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM} {
		if !signal.Ignored(sig) {
			signal.Notify(discard, sig)
		}
	}
}

// furnish does the steps of s and reports them, with the files of the door. The command gets a
// network of its own where none is given.
func furnish(
	s setup, ch channel.Conn, covers *covers, command []string, network *os.File,
) (*door, error) {
	if s.OwnGroup {
		if err := unix.Setpgid(0, 0); err != nil {
			return nil, fmt.Errorf("lead a process group: %w", err)
		}
	}
	d, err := startDoor(s, command, network)
	if err != nil {
		return nil, err
	}
	mounted := make(chan error, 1)
	go func() { mounted <- mountPrivately(s, covers) }() // while it starts
	r, files, err := d.furnish(s)
	if err = errors.Join(err, <-mounted); err != nil {
		return nil, err
	}
	if r.Failed == "" {
		if err := mountSys(d.network); err != nil {
			return nil, err
		}
		go covers.keep()
		go d.listen(ch)
	}
	err = ch.Send(r, files...)
	for _, f := range files { // the session has them now, and keeps the interface alive
		_ = f.Close()
	}
	return d, err
}

func failure(err error) report {
	r := report{Failed: err.Error(), Namespace: errors.As(err, new(namespaceError))}
	errors.As(err, &r.Errno)
	if errors.Is(err, fs.ErrExist) {
		r.Errno = unix.EEXIST
	}
	return r
}

// obey carries out the session's orders. Without a session there is no way out any more, and init
// ends.
func obey(ch channel.Conn, d *door, covers *covers) {
	for {
		var o order
		if _, err := ch.Receive(&o); err != nil {
			os.Exit(statusSignalled + int(unix.SIGKILL))
		}
		switch {
		case o.Start:
			_ = d.channel.Send(o) // if it is gone, so is the command
		case o.ResolvConf != nil:
			_ = covers.setResolvConf(*o.ResolvConf) // an error: the old one lasts
		default:
			_ = unix.Kill(d.pid, o.Signal) // gone already: its status is on the way
		}
	}
}

// reap waits for the command, which the door has become, and for the orphans of the namespace
// meanwhile, and returns the command's status.
func reap(ch channel.Conn, d *door) int {
	for {
		var status unix.WaitStatus
		child, err := unix.Wait4(-1, &status, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR || child != d.pid:
		case status.Stopped():
			_ = ch.Send(report{Stopped: true})
		case status.Signaled():
			return statusSignalled + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}

// killRest ends every other process of the namespace and waits for it: its sockets are closed then.
func killRest() {
	for {
		_ = unix.Kill(-1, unix.SIGKILL) // a process cannot fork past it; an error: there is none left
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}
