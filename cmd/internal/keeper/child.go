//go:build linux

package keeper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/logger"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/ring"
)

// child is a router as its keeper sees it.
type child struct {
	conn     channel.Conn
	cmd      *process
	patience time.Duration // with one that reads no orders, or does not end

	opened, running chan struct{} // closed when it says so
	pong            chan struct{}
	reloaded        chan message.Reloaded
	drained         chan int
	done            chan struct{} // closed when the process has ended and all its words are read

	figures atomic.Pointer[channel.Asker] // asks for them; valid once it runs, with a page

	writer  *remote.Writer
	written chan error // holds the result of the writer, when it has all records of the router

	// Valid once done is closed.
	last  *message.Ended // nil: it did not end in order
	state error          // of the process
}

// startChild starts a router. writer returns the writer of its records.
func startChild(
	start func(func() error) error, b *message.Beginning, sizes ring.Sizes, writer func(*ring.End) *remote.Writer, in surroundings,
) (*child, error) {
	ours, theirs, err := channel.New()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	end, memory, err := ring.New(sizes)
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer memory.Close()
	c := &child{
		conn: ours, patience: patience, opened: make(chan struct{}), running: make(chan struct{}),
		pong: make(chan struct{}, 1), reloaded: make(chan message.Reloaded, 1), drained: make(chan int, 1), done: make(chan struct{}),
		writer: writer(end), written: make(chan error, 1),
	}
	c.cmd, err = startProcess(start, message.RouterName, in, theirs, memory.Memory, memory.Bell)
	if err != nil {
		ours.Close()
		_ = end.Close()
		return nil, fmt.Errorf("start the router: %w", err)
	}
	_ = memory.Close() // so that the router's end of the bell ends with it
	go c.write()
	go c.listen()
	if err := c.sendValue(message.Order{Begin: true}, b); err != nil {
		c.kill()
		return nil, fmt.Errorf("start the router: %w", err)
	}
	return c, nil
}

// startProcess starts this program under another name, with files from channel.FD on. Its standard
// error is passed on to that of this process, and it ends with it.
func startProcess(start func(func() error) error, name string, in surroundings, files ...*os.File) (*process, error) {
	input, err := noInput()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	text, env, relayed, err := logger.Relay()
	if err != nil {
		return nil, err
	}
	defer text.Close()
	env = append(processEnvironment(), env...) // not nil, which would have all that of this process
	p := &process{relayed: relayed}
	for _, a := range starts(in) {
		attr := a.attr
		// It gets no signals of the terminal. In a session of its own it would be another group of
		// the scheduler, too (sched(7), autogroup): packets would wait for a turn.
		attr.Setpgid = true
		attr.Pdeathsig = unix.SIGKILL
		p.Cmd = &exec.Cmd{
			Path: executable(), Args: []string{name}, Env: append(env, a.env...), SysProcAttr: attr,
			Stdin: input, Stdout: text, Stderr: text, // by default these take /dev/null
			ExtraFiles: files,
		}
		begin := p.Start
		if a.alone {
			begin = func() error { return isolate.StartAlone(p.Start) }
		}
		if err = start(begin); err == nil {
			return p, nil
		}
	}
	return nil, err
}

// executable returns the path of this program. Where there is no /proc it is looked for by the name
// under which it was started.
func executable() string {
	const self = "/proc/self/exe"
	if _, err := os.Lstat(self); errors.Is(err, fs.ErrNotExist) {
		if path, err := exec.LookPath(os.Args[0]); err == nil {
			return path
		}
	}
	return self
}

// noInput returns an input without a byte, where there may be no /dev/null.
func noInput() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return r, w.Close()
}

// surroundings are those in which a process is started, if the kernel makes the namespaces.
type surroundings int

const (
	beside surroundings = iota // its keeper
	alone                      // in a user namespace: isolate.Alone
	apart                      // namespace.Apart
)

// oneStart is a way to start a process.
type oneStart struct {
	attr  *unix.SysProcAttr
	env   []string // more of its environment
	alone bool     // by isolate.StartAlone
}

// starts are those of a process, to be tried in turn. Without namespaces of its own it has the
// capabilities that this process has, as ambient ones: those of a user who is not root do not
// outlast execve(2), nor do those of root's file once there are no new privileges.
func starts(in surroundings) (all []oneStart) {
	switch in {
	case apart:
		if attr, err := namespace.Apart(); err == nil {
			all = append(all, oneStart{attr: attr})
		}
	case alone:
		if attr, env, ok := isolate.Alone(); ok {
			all = append(all, oneStart{attr, []string{env}, true})
		}
	case beside:
	}
	return append(all, oneStart{attr: &unix.SysProcAttr{AmbientCaps: isolate.Permitted()}}, oneStart{attr: &unix.SysProcAttr{}})
}

// processVariables are those of the environment by which Go's runtime and times are set.
// Others may hold secrets.
var processVariables = []string{
	"GOMAXPROCS", "GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK", "GORACE", "TZ",
}

func processEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains(processVariables, name)
	})
}

// newStarter returns a function that calls others on one thread, which lasts as long as this
// process: the kernel kills a child when the thread ends that has started it (PR_SET_PDEATHSIG).
// The children have an empty bounding set, where this process may empty it.
func newStarter(log logrus.FieldLogger) func(func() error) error {
	work, results := make(chan func() error), make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := isolate.LimitChildren(); err != nil {
			log.WithError(err).Warn("this process keeps rights that a router does not need")
		}
		for f := range work {
			results <- f()
		}
	}()
	var one sync.Mutex
	return func(f func() error) error {
		one.Lock()
		defer one.Unlock()
		work <- f
		return <-results
	}
}

// maxWord bounds the messages of a router in bytes.
const maxWord = 1 << 16

// listen takes the router's words until its end. A router that says anything else is killed, and so
// is, later, one that closes its channel: no order reaches it.
func (c *child) listen() {
	var opened, running sync.Once
	buf := make([]byte, maxWord)
	for {
		var w message.Word
		if err := c.conn.ReceiveText(buf, &w); err != nil {
			if !errors.Is(err, io.EOF) {
				_ = c.cmd.Process.Kill()
			}
			break
		}
		if w.Opened {
			opened.Do(func() { close(c.opened) })
		}
		if w.Running {
			running.Do(func() { close(c.running) })
		}
		if w.Pong {
			put(c.pong, struct{}{})
		}
		if w.Reloaded != nil {
			put(c.reloaded, *w.Reloaded)
		}
		if w.Drained != nil {
			put(c.drained, *w.Drained)
		}
		if w.Ended != nil {
			c.last = w.Ended
		}
	}
	late := time.AfterFunc(c.patience, func() { _ = c.cmd.Process.Kill() })
	c.state = c.cmd.Wait()
	late.Stop()
	if err := <-c.written; err != nil {
		// It may have been told that its log has ended, and have ended in order, before it is
		// killed.
		c.last, c.state = nil, err
	}
	c.conn.Close()
	close(c.done)
}

// write has the router's records written until its end. One that sends others is killed.
func (c *child) write() {
	err := c.writer.Run()
	if err != nil {
		_ = c.cmd.Process.Kill()
	}
	c.written <- err
}

// put puts a value into a channel that has room for one.
func put[T any](to chan T, value T) {
	select {
	case to <- value:
	default: // it has not been asked for, or was said twice
	}
}

// patience is how long the keeper waits for a router that reads no orders, or for a process of a
// dead run. A machine may stand still for seconds.
const patience = 30 * time.Second

// send sends an order. A router that reads none for so long is killed; an error says that it ends.
func (c *child) send(o message.Order, files ...*os.File) error {
	err := c.conn.SendUntil(time.Now().Add(c.patience))
	if err == nil {
		err = c.conn.Send(o, files...)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = c.cmd.Process.Kill()
	}
	return err
}

// sendValue sends an order with a value, which comes by a pipe until the router has read it, or is
// dead.
func (c *child) sendValue(o message.Order, value any) error {
	r, err := message.ToPipe(value)
	if err != nil {
		return err
	}
	defer r.Close()
	return c.send(o, r)
}

// kill ends the router at once and returns when it is gone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// isDone reports whether the process has ended.
func (c *child) isDone() bool { return isClosed(c.done) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
