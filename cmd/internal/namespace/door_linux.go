package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/owner"
)

// door is the process that becomes the command: init's handle on it.
type door struct {
	channel channel.Conn
	pid     int
	network *os.File      // its network namespace
	heard   chan struct{} // closed when it has become the command, or said why not
}

// startDoor starts the process. Root's gets a user namespace of its own once more: its capabilities
// hold for its network and not for init's mounts, which it finds locked (mount_namespaces(7)). It
// is in the network that is given, or in a new one.
func startDoor(s setup, command []string, network *os.File) (*door, error) {
	ours, theirs, err := channel.New()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	attr := &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNET,
		AmbientCaps: effectiveCapabilities(), // execve would drop them: its user is not root, or not mapped yet
	}
	if s.lockMounts() {
		attr.Cloneflags |= unix.CLONE_NEWUSER
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{doorName}, command...), ExtraFiles: []*os.File{theirs}, SysProcAttr: attr,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	start := cmd.Start
	if network != nil {
		attr.Cloneflags &^= unix.CLONE_NEWNET
		start = func() error { return inNetwork(network, cmd.Start) }
	}
	if err := start(); err != nil {
		ours.Close()
		return nil, namespaceError{err}
	}
	return &door{channel: ours, pid: cmd.Process.Pid, heard: make(chan struct{})}, nil
}

// namespaceError is the failure to make a namespace.
type namespaceError struct{ error }

func (e namespaceError) Unwrap() error { return e.error }

// lockMounts reports whether the command could undo init's mounts, unless it is in a user
// namespace further in.
func (s setup) lockMounts() bool { return s.UserNS && os.Geteuid() == 0 }

// mapIdentity maps every id of our own user namespace to itself in that of a process, whose
// directory in /proc is given.
func mapIdentity(process *os.File) error {
	if b, err := os.ReadFile("/proc/self/setgroups"); err == nil && string(b) != "allow\n" {
		if err := writeAt(process, "setgroups", "deny"); err != nil {
			return err
		}
	}
	for _, kind := range []string{"uid_map", "gid_map"} {
		ids, err := identity("/proc/self/" + kind)
		if err != nil {
			return err
		}
		var text strings.Builder
		for _, m := range ids {
			fmt.Fprintln(&text, m.ContainerID, m.HostID, m.Size)
		}
		if err := writeAt(process, kind, text.String()); err != nil {
			return err
		}
	}
	return nil
}

func writeAt(dir *os.File, name, text string) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

// furnish maps the door's ids, has it do its part, and returns its report and the files with it.
func (d *door) furnish(s setup) (r report, files []*os.File, err error) {
	// Its own /proc/self, because init's /proc may be that of another PID namespace.
	files, err = d.channel.Receive(&r)
	if err != nil || len(files) != 2 {
		return r, nil, fmt.Errorf("start the command's process: %w", err)
	}
	process := files[0]
	defer process.Close()
	d.network = files[1]
	if s.lockMounts() {
		if err := mapIdentity(process); err != nil {
			return r, nil, err
		}
	}
	if err := d.channel.Send(s); err != nil {
		return r, nil, err
	}
	files, err = d.channel.Receive(&r)
	if err != nil {
		return r, nil, fmt.Errorf("prepare the network: %w", err)
	}
	return r, files, nil
}

// listen passes on why the command could not be run.
func (d *door) listen(ch channel.Conn) {
	defer close(d.heard)
	var r report
	if _, err := d.channel.Receive(&r); err == nil {
		_ = ch.Send(r)
	}
}

// runDoor furnishes the network namespace and becomes the command when told to. It returns if it
// cannot.
func runDoor(command []string) int {
	unix.CloseOnExec(channel.FD)
	ch, err := channel.Open(channel.FD)
	if err != nil {
		return 1
	}
	s, err := enter(ch)
	if err != nil {
		_ = ch.Send(failure(err))
		return 1
	}
	var o order
	if _, err := ch.Receive(&o); err != nil {
		return 1
	}
	err = become(command, s)
	_ = ch.Send(failure(fmt.Errorf("run %q: %w", command[0], err)))
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return statusNotFound
	}
	return statusNotExecutable
}

// enter makes itself known to init, which maps the ids, and furnishes the network.
func enter(ch channel.Conn) (s setup, err error) {
	var files [2]*os.File
	for i, path := range []string{"/proc/self", "/proc/self/ns/net"} {
		if files[i], err = os.Open(path); err != nil {
			return s, err
		}
		defer files[i].Close()
	}
	if err := ch.Send(report{}, files[:]...); err != nil {
		return s, err
	}
	if _, err := ch.Receive(&s); err != nil {
		return s, err
	}
	if err := raiseLoopback(); err != nil {
		return s, err
	}
	permitPing()
	if s.TUN == "" {
		return s, ch.Send(report{Ready: true})
	}
	ready := report{Ready: true}
	if s.Shared {
		if ready.Others, err = otherLinks(); err != nil {
			return s, err
		}
	}
	queues, err := createTUN(s)
	if err != nil {
		return s, err
	}
	defer closeAll(queues) // the descriptors that were sent keep the interface alive
	toSend := slices.Clone(queues)
	if network, err := owner.OpenNetwork(s.TUN); err == nil { // else records name no programs
		defer network.Close()
		ready.Device = network.Device()
		toSend = append(toSend, network.Files()...)
	}
	return s, ch.Send(ready, toSend...)
}

// become confines this thread and replaces the process by the command, which inherits its standard
// descriptors and no others: every file was opened with O_CLOEXEC.
func become(command []string, s setup) error {
	runtime.LockOSThread() // for good
	if s.lockMounts() {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("lock mounts: %w", err)
		}
	}
	// Again, because a path that is hidden now may lie on the way to it.
	if dir, err := unix.Getwd(); err == nil && filepath.IsAbs(dir) {
		if err := unix.Chdir(dir); err != nil {
			return fmt.Errorf("enter working directory %s: %w", dir, err)
		}
	}
	path, err := exec.LookPath(command[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return cause(err)
	}
	if err := confine(s); err != nil {
		return err
	}
	env := os.Environ()
	err = syscall.Exec(path, command, env)
	if err == syscall.ENOEXEC {
		// A script without "#!" is one for the shell (POSIX XSH exec, ENOEXEC).
		err = syscall.Exec("/bin/sh", append([]string{"sh", path}, command[1:]...), env)
	}
	return err
}

// cause strips the name, which the error of a failed lookup repeats.
func cause(err error) error {
	if e := (*exec.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return err
}
