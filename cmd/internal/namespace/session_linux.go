package namespace

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/owner"
	"syntap/tun/route"
)

// Session is one command in its namespaces.
type Session struct {
	ctx       context.Context
	detach    func() bool // ends the watch on ctx
	init      *exec.Cmd   // process 1 of the PID namespace
	channel   channel.Conn
	tun       []*os.File // its queues
	network   *owner.Network
	others    []string
	resolver  *resolvConf
	redirects atomic.Pointer[Redirects]
	signals   chan os.Signal // to this process, while the command runs and after
	terminal  *terminal      // nil without one

	// Whether this process was interrupted while the command ran, and whether that
	// ended it; valid after Run.
	interrupted, byInterrupt bool
}

// Start makes the namespaces and everything in them but the command, which waits for [Session.Run].
// When ctx ends, so do the namespaces and the command. A missing privilege or device is an error
// with a hint.
func Start(ctx context.Context, o Options) (*Session, error) {
	if o.TUN != "" {
		if err := checkDevice(); err != nil {
			return nil, err
		}
	}
	want, err := o.setup()
	if err != nil {
		return nil, err
	}
	o.Addresses = want.Addresses
	network, err := openNetNS(o.NetNS)
	if err != nil {
		return nil, err
	}
	if network != nil {
		defer network.Close()
	}
	s := &Session{ctx: ctx, resolver: openResolvConf(o), terminal: openTerminal(), signals: make(chan os.Signal, 16)}
	names, err := s.resolver.read()
	if err != nil {
		s.resolver.close()
		s.terminal.close()
		return nil, err
	}
	s.redirects.Store(newRedirects(o, names))
	if err := s.startInit(o, &want); err != nil {
		s.resolver.close()
		s.terminal.close()
		return nil, err
	}
	s.detach = context.AfterFunc(ctx, s.kill)
	job := s.terminal.isJob(o.Stdin, o.Stdout, o.Stderr)
	want.OwnGroup, want.LocalDNS = job, names.missing
	if names.changed {
		want.ResolvConf = names.conf
	}
	if err := s.furnish(want, network); err != nil {
		s.Close()
		return nil, err
	}
	if job {
		s.terminal.inner = s.init.Process.Pid
	}
	if !o.KeepNames {
		go s.followResolver(o, names)
	}
	return s, nil
}

// setup returns the first part of the setup. A TUN has the families that the host routes.
func (o Options) setup() (setup, error) {
	if err := checkStreams(); err != nil {
		return setup{}, err
	}
	s := setup{
		TUN: o.TUN, MTU: o.MTU, Queues: max(1, o.Queues), AllowSetuid: o.AllowSetuid, KeepHosts: o.KeepNames,
	}
	var err error
	if s.Hide, err = resolveHidden(o.Hide); err != nil || o.TUN == "" {
		return s, err
	}
	reachable, err := route.Reachable()
	if err != nil {
		return s, fmt.Errorf("ask what this host routes: %w", err)
	}
	s.Addresses, s.Routes = families(o.Addresses, reachable)
	s.Routes = withRoutes(s.Routes, o.Routes, s.Addresses)
	return s, nil
}

// followResolver has the command's names resolve as the host's resolv.conf says now, until the
// session ends. Where that has gone, the nameservers that it had stay: programs remember them.
func (s *Session) followResolver(o Options, names resolver) {
	replaced := names.changed
	for s.resolver.wait() {
		now, err := s.resolver.read()
		if err != nil || now.missing && !names.missing {
			continue // the old one lasts
		}
		s.redirects.Store(newRedirects(o, now))
		if o.Redirected != nil {
			o.Redirected(s.redirects.Load())
		}
		if replaced = replaced || now.changed; replaced && !now.missing {
			_ = s.channel.Send(order{ResolvConf: &now.conf}) // if init is gone, so is the command
		}
	}
}

// startInit starts init in new namespaces. Where user namespaces are forbidden root does without:
// it needs none.
func (s *Session) startInit(o Options, want *setup) error {
	ours, theirs, err := channel.New()
	if err != nil {
		return err
	}
	defer theirs.Close()
	if err := CloseOnExec(); err != nil {
		return err
	}
	attr, err := userNamespace()
	if err != nil {
		return err
	}
	want.UserNS, want.Shared = o.NetNS == "", o.NetNS != ""
	if want.UserNS {
		s.init = initCommand(o, attr, theirs)
		err = s.init.Start()
	}
	if !want.UserNS || err != nil && hasCapability(unix.CAP_SYS_ADMIN) {
		want.UserNS = false
		s.init = initCommand(o, noUserNamespace(), theirs)
		err = s.init.Start()
	}
	if err != nil {
		ours.Close()
		return explainNamespaces(err)
	}
	s.channel = ours
	return nil
}

func initCommand(o Options, attr *unix.SysProcAttr, channel *os.File) *exec.Cmd {
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        append([]string{initName}, o.Command...),
		ExtraFiles:  []*os.File{channel},
		SysProcAttr: attr,
	}
	// A nil *os.File in an interface would not be nil.
	if o.Stdin != nil {
		cmd.Stdin = o.Stdin
	}
	if o.Stdout != nil {
		cmd.Stdout = o.Stdout
	}
	if o.Stderr != nil {
		cmd.Stderr = o.Stderr
	}
	return cmd
}

// CloseOnExec keeps descriptors that our caller left open from all that this process starts.
func CloseOnExec() error {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// furnish has init do its part and keeps the TUN and the network. The command gets a network of its
// own where none is given.
func (s *Session) furnish(want setup, network *os.File) error {
	var files []*os.File
	if network != nil {
		files = append(files, network)
	}
	if err := s.channel.Send(want, files...); err != nil {
		return s.gone(err)
	}
	var r report
	files, err := s.channel.Receive(&r)
	if err != nil {
		return s.gone(err)
	}
	if r.Failed != "" {
		return explainFailure(r)
	}
	s.others = r.Others
	s.tun = files[:min(len(files), want.Queues)]
	if rest := files[len(s.tun):]; len(rest) > 0 {
		s.network, err = owner.NetworkOf(rest, r.Device)
		if err == nil && network == nil { // no others are in it
			s.network.Root = s.init.Process.Pid
		}
	}
	return err
}

// gone tells why init did not answer.
func (s *Session) gone(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return fmt.Errorf("prepare namespaces: %w", err)
}

// TUN is the descriptors of the interface's queues, none if no interface was asked for. They belong
// to the session.
func (s *Session) TUN() []*os.File { return s.tun }

// Network is the command's network namespace, by which the owners of its sockets can be found; nil
// where it could not be opened. It belongs to the caller.
func (s *Session) Network() *owner.Network { return s.network }

// OtherLinks are the interfaces of a network that others have made by which packets may go past the
// TUN.
func (s *Session) OtherLinks() []string { return s.others }

// Redirects are those of now. They change with the host's nameservers.
func (s *Session) Redirects() *Redirects { return s.redirects.Load() }

// Run lets the command start and returns its exit status as a shell counts it, once it and all it
// left behind have ended: their sockets are closed, and their network goes on delivering until
// [Session.Close]. Meanwhile signals to this process go to the command. An error comes with the
// status 126 or 127 if the command could not be run, 137 if the context ended first.
func (s *Session) Run() (status int, err error) {
	relaySignals(s.signals)
	// A line of the log must not end the router when it has no reader, nor stop one in the
	// background.
	signal.Ignore(unix.SIGPIPE, unix.SIGTTOU)

	s.terminal.lend()
	reports := make(chan report)
	go s.listen(reports)
	_ = s.channel.Send(order{Start: true}) // if init is gone, so are its reports
	for {
		select {
		case sig := <-s.signals:
			s.interrupted = s.interrupted || sig == unix.SIGINT
			s.relay(sig)
		case r, ok := <-reports:
			switch {
			case !ok:
				return s.result(statusSignalled+int(unix.SIGKILL), err) // of init, and so of the command
			case r.Ended:
				return s.result(r.Status, err)
			case r.Stopped:
				s.terminal.commandStopped(s.init.Process.Pid)
			default:
				err = errors.New(r.Failed)
			}
		}
	}
}

// UntilSignalled returns a context for the work that is left after Run: it ends with ctx, or when a
// signal asks this process to end. An interrupt that has ended the command may come here a moment
// later, and does not count.
func (s *Session) UntilSignalled(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	late := s.byInterrupt && s.terminal.sharesGroup() && !s.interrupted
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case sig := <-s.signals:
				switch sig {
				case unix.SIGTSTP:
					stopSelf()
				case unix.SIGINT:
					if !late {
						cancel()
					}
					late = false
				case unix.SIGHUP, unix.SIGQUIT, unix.SIGTERM:
					cancel()
				}
			}
		}
	}()
	return ctx, cancel
}

// listen forwards init's reports until it is gone, or the command.
func (s *Session) listen(reports chan<- report) {
	defer close(reports)
	for {
		var r report
		if _, err := s.channel.Receive(&r); err != nil {
			return
		}
		reports <- r
		if r.Ended {
			return
		}
	}
}

// result gives the terminal back.
func (s *Session) result(status int, err error) (int, error) {
	s.byInterrupt = status == statusSignalled+int(unix.SIGINT)
	s.terminal.restore(status > statusSignalled)
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	return status, err
}

// kill ends the namespaces with everything that runs in them.
func (s *Session) kill() {
	_ = s.init.Process.Kill() // an error: it has ended by itself
	s.channel.Close()
}

// Close ends the processes that still run and closes the TUN.
func (s *Session) Close() {
	signal.Stop(s.signals)
	signal.Reset(unix.SIGPIPE, unix.SIGTTOU)
	s.detach()
	s.resolver.close()
	s.kill()
	_ = s.init.Wait() // an error: Run has done it
	s.terminal.close()
	closeAll(s.tun)
}
