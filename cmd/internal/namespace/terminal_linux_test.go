package namespace_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlZ = "\x1a"
)

// user is someone at a terminal with an interactive bash, in which "s COMMAND" runs a session.
type user struct {
	t        *testing.T
	keyboard *os.File
	shell    int // its process group

	mu     sync.Mutex // guards the rest
	screen string     // the text printed so far
	seen   int        // how much of it the user has looked at
}

func sitDown(t *testing.T) *user {
	t.Helper()
	tuntest.RequireNetNS(t)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keyboard, tty := openPTY(t)
	cmd := exec.Command("bash", "--norc", "--noprofile", "-i")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.Env = append(self().Env, "PS1=outer> ", "TERM=dumb", "PROGRAM="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	u := &user{t: t, keyboard: keyboard, shell: cmd.Process.Pid}
	read := make(chan struct{})
	go u.watch(read)
	watchdog := time.AfterFunc(4*tuntest.Patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		u.hangUp()
		_ = cmd.Wait()
		watchdog.Stop()
		<-read
		if t.Failed() {
			t.Logf("on the screen:\n%s", u.screen)
		}
	})
	u.sees("outer> ")
	u.types(`alias s='"$PROGRAM" session --'` + "\r")
	u.sees("outer> ")
	return u
}

// hangUp closes the terminal: bash ends and tells its jobs to.
func (u *user) hangUp() { _ = u.keyboard.Close() }

// openPTY returns both ends of a pseudo-terminal (pty(7)).
func openPTY(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	control(t, keyboard, func(fd int) (err error) {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, tty
}

func control(t *testing.T, f *os.File, call func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = call(int(fd)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

// watch reads the output until no process has the terminal open any more.
func (u *user) watch(done chan<- struct{}) {
	defer close(done)
	buf := make([]byte, 4096)
	for {
		n, err := u.keyboard.Read(buf)
		u.mu.Lock()
		u.screen += string(buf[:n])
		u.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (u *user) types(keys string) {
	u.t.Helper()
	if _, err := u.keyboard.WriteString(keys); err != nil {
		u.t.Fatal(err)
	}
}

// sees waits for text after all that the user has seen so far.
func (u *user) sees(text string) {
	u.t.Helper()
	tuntest.Wait(u.t, fmt.Sprintf("%q on the screen", text), func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		i := strings.Index(u.screen[u.seen:], text)
		if i < 0 {
			return false
		}
		u.seen += i + len(text)
		return true
	})
}

// resize changes the size of the terminal's window.
func (u *user) resize(rows, columns uint16) {
	u.t.Helper()
	control(u.t, u.keyboard, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
}

// TestTerminal has each user type and see things by turns. Typed text is echoed; so a text to be
// seen is one that does not occur in the text typed before it.
func TestTerminal(t *testing.T) {
	t.Parallel()
	const ready = "ready\r\n"
	status := func(n int) []string { return []string{"echo status=$?\r", fmt.Sprintf("status=%d\r\n", n)} }
	tests := []struct {
		name   string
		shared string   // makes the session share its process group with the command; "" skips that
		script []string // typed, seen, typed, seen, …
	}{
		{"interrupt", "2>/dev/null", slices.Concat([]string{
			"s sh -c 'echo ready; exec sleep 3600' SHARED\r", ready,
			ctrlC, "outer> ",
		}, status(130))},
		{"interrupt comes once", "2>/dev/null", []string{
			"s $PROGRAM interrupts SHARED\r", ready,
			ctrlC, "interrupt 1\r\n",
			"\r", "interrupts: 1\r\n",
		}},
		{"stop and continue", "2>/dev/null", slices.Concat([]string{
			"s sh -c 'echo ready; read x; echo read $x; exit 5' SHARED\r", ready,
			ctrlZ, "Stopped",
			"fg\r", "fg\r\n\"$PROGRAM\" session",
			"hello\r", "read hello\r\n",
		}, status(5))},
		{"start in the background", "2>/dev/null", slices.Concat([]string{
			"set -b\r", "outer> ", // report the ends of jobs at once
			"s sh -c 'read x; echo read $x; exit 6' SHARED &\r", "Stopped",
			"fg\r", "fg\r\n\"$PROGRAM\" session",
			"hello\r", "read hello\r\n",
		}, status(6))},
		{"to the background and back", "2>/dev/null", slices.Concat([]string{
			"s sh -c 'echo ready; exec sleep 3600' SHARED\r", ready,
			ctrlZ, "Stopped",
			"bg\r", "&\r\n",
			"fg\r", "fg\r\n\"$PROGRAM\" session",
			ctrlC, "outer> ",
		}, status(130))},
		{"stop that the group has heard", "", []string{
			`s sh -c 'trap told=1 TSTP; trap over=1 USR1; echo ready; until [ $over ]; do sleep 0.1; done; exit 7$told' 2>/dev/null &` + "\r", ready,
			"kill -TSTP $!; kill -USR1 $!; wait $!; echo status=$?\r", "status=7\r\n",
		}},
		{"shell inside", "| cat", []string{
			"PS1='inner> ' s bash --norc --noprofile -i SHARED; echo status=${PIPESTATUS[0]}\r", "\ninner> ",
			"sh -c 'echo ready; exec sleep 3600'\r", ready,
			ctrlC, "inner> ",
			"sh -c 'echo ready; read x; echo read $x'\r", ready,
			ctrlZ, "Stopped",
			"fg\r", "fg\r\nsh",
			"hello\r", "read hello\r\n",
			"exit 4\r", "status=4\r\n",
		}},
		{"suspended shell inside", ">/dev/null", []string{
			"PS1='inner> ' s bash --norc --noprofile -i SHARED\r", "\ninner> ",
			"suspend\r", "\nouter> ",
			"fg\r", "inner> ",
			"echo in''side >&2\r", "inside\r\n",
			"exit\r", "outer> ",
		}},
		{"shell inside that does not take the terminal back", "", slices.Concat([]string{
			"PS1='inner> ' s dash -i\r", "\ninner> ",
			"kill -STOP $$\r", "\nouter> ",
			"fg\r", "-- dash -i\r\n",
			"echo in''side\r", "inside\r\n",
			"exit 4\r", "outer> ",
		}, status(4))},
		{"terminal goes back to a script", "", []string{
			`PS1='inner> ' sh -c '"$PROGRAM" session -- bash --norc --noprofile -i; read x; echo got $x'` + "\r", "\ninner> ",
			"exit\r", "exit\r\nexit\r\n",
			"hello\r", "got hello\r\n",
		}},
		{"modes are restored", "2>/dev/null", slices.Concat([]string{
			"s sh -c 'stty raw -echo; kill -9 $$' SHARED\r", "outer> ",
		}, status(137), []string{
			"stty -a\r", " icanon ",
			"\r", " echo ",
		})},
		{"pipeline", "", []string{
			"s sh -c 'echo ready' | cat; echo ${PIPESTATUS[*]}\r", ready + "0 0\r\n",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sitDown(t).follow(tt.script, "")
		})
		if tt.shared != "" {
			t.Run(tt.name+", sharing the process group", func(t *testing.T) {
				t.Parallel()
				sitDown(t).follow(tt.script, tt.shared)
			})
		}
	}
}

// follow types and compares as the script says. A key that makes a signal is typed when the shell
// has given the terminal to the job, which is after it has printed its name.
func (u *user) follow(script []string, shared string) {
	u.t.Helper()
	for i, text := range script {
		if text == ctrlC || text == ctrlZ {
			u.awaitJob()
		}
		if i%2 == 0 {
			u.types(strings.ReplaceAll(text, " SHARED", " "+shared))
		} else {
			u.sees(text)
		}
	}
}

// TestLateRead has a command come to the foreground while it runs, and want the terminal after
// that.
func TestLateRead(t *testing.T) {
	t.Parallel()
	u := sitDown(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	u.follow([]string{
		"s sh -c 'echo ready; read x <" + fifo + "; read y; echo read $y'\r", "ready\r\n",
		ctrlZ, "Stopped",
		"bg\r", "&\r\n",
		"fg\r", "fg\r\n",
	}, "")
	u.awaitJob()
	if err := os.WriteFile(fifo, []byte("go on\n"), 0); err != nil {
		t.Fatal(err)
	}
	u.types("hello\r")
	u.sees("read hello\r\n")
}

// awaitJob waits until a job of the shell is in the foreground.
func (u *user) awaitJob() {
	u.t.Helper()
	tuntest.Wait(u.t, "the job in the foreground", func() bool { return u.foreground() != u.shell })
}

// foreground returns the terminal's foreground process group.
func (u *user) foreground() (group int) {
	u.t.Helper()
	control(u.t, u.keyboard, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return group
}

func TestHangUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		script []string
	}{
		{"running", nil},
		{"stopped", []string{ctrlZ, "Stopped"}},
		{"in the background", []string{ctrlZ, "Stopped", "bg\r", "&\r\n"}},
	}
	for _, tt := range tests {
		for _, sharing := range []string{"", "2>/dev/null"} {
			t.Run(strings.TrimSpace(tt.name+" "+sharing), func(t *testing.T) {
				t.Parallel()
				u := sitDown(t)
				fifo := filepath.Join(t.TempDir(), "fifo")
				if err := unix.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				u.types("s sh -c 'exec 3>" + fifo + "; echo ready; sleep 3600 & exec sleep 3600' " + sharing + "\r")
				held, err := os.Open(fifo)
				if err != nil {
					t.Fatal(err)
				}
				defer held.Close()
				u.sees("ready\r\n")
				u.follow(tt.script, sharing)
				u.hangUp()
				if err := held.SetReadDeadline(time.Now().Add(tuntest.Patience)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(held); err != nil {
					t.Errorf("command goes on after the terminal has gone: %v", err)
				}
			})
		}
	}
}

func TestWindowSize(t *testing.T) {
	t.Parallel()
	u := sitDown(t)
	u.resize(33, 77)
	u.types("s sh -c 'stty size; trap \"stty size\" WINCH; sleep 3600 & echo ready; wait; wait'\r")
	u.sees("\n33 77\r\nready\r\n")
	u.resize(44, 99)
	u.sees("44 99\r\n")
}
