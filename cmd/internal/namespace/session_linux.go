package namespace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strconv"

	"golang.org/x/sys/unix"
)

// Session is one command in its namespaces.
type Session struct {
	ctx       context.Context
	detach    func() bool // ends the watch on ctx
	init      *exec.Cmd   // process 1 of the PID namespace
	channel   channel
	tun       *os.File
	redirects redirects
	terminal  *terminal // nil without one
}

// Start makes the namespaces and everything in them but the command, which waits for [Session.Run]. When ctx ends, so do
// the namespaces and the command. A missing privilege or device is an error with a hint.
func Start(ctx context.Context, o Options) (*Session, error) {
	if o.TUN != "" {
		if err := checkDevice(); err != nil {
			return nil, err
		}
	}
	resolvConf, nameservers, err := privateResolvConf(o.Addresses)
	if err != nil {
		return nil, err
	}
	s := &Session{ctx: ctx, redirects: newRedirects(o, nameservers), terminal: openTerminal()}
	if err := s.startInit(o); err != nil {
		s.terminal.close()
		return nil, err
	}
	s.detach = context.AfterFunc(ctx, s.kill)
	job := s.terminal.isJob(o.Stdin, o.Stdout, o.Stderr)
	s.tun, err = s.furnish(setup{TUN: o.TUN, MTU: o.MTU, Addresses: o.Addresses, ResolvConf: resolvConf, OwnGroup: job})
	if err != nil {
		s.Close()
		return nil, err
	}
	if job {
		s.terminal.inner = s.init.Process.Pid
	}
	return s, nil
}

// privateResolvConf reads the host's resolv.conf and returns the one for the command, "" for the same, with the
// nameservers that the gateways stand for.
func privateResolvConf(addresses []netip.Prefix) (string, map[netip.Addr]netip.Addr, error) {
	conf, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return "", nil, nil // what we cannot read, the command cannot either
	}
	onHost, err := reachableOnHostOnly(addresses)
	if err != nil {
		return "", nil, fmt.Errorf("list the host's addresses: %w", err)
	}
	private, relays := relayNameservers(string(conf), gateways(addresses), onHost)
	if len(relays) == 0 {
		return "", nil, nil
	}
	return private, relays, nil
}

// startInit starts init in new namespaces. Where user namespaces are forbidden root does without: it needs none.
func (s *Session) startInit(o Options) error {
	ours, theirs, err := newChannel()
	if err != nil {
		return err
	}
	defer theirs.Close()
	if err := closeOnExec(); err != nil {
		return err
	}
	attr, err := userNamespace()
	if err != nil {
		return err
	}
	s.init = initCommand(o, attr, theirs)
	err = s.init.Start()
	if err != nil && hasCapability(unix.CAP_SYS_ADMIN) {
		s.init = initCommand(o, noUserNamespace(), theirs)
		err = s.init.Start()
	}
	if err != nil {
		ours.close()
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

// closeOnExec keeps descriptors that our caller left open from the command.
func closeOnExec() error {
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

// furnish has init do its part and returns the TUN.
func (s *Session) furnish(want setup) (*os.File, error) {
	if err := s.channel.send(want); err != nil {
		return nil, s.gone(err)
	}
	var r report
	tun, err := s.channel.receive(&r)
	if err != nil {
		return nil, s.gone(err)
	}
	if r.Failed != "" {
		return nil, explainFailure(r)
	}
	return tun, nil
}

// gone tells why init did not answer.
func (s *Session) gone(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return fmt.Errorf("prepare namespaces: %w", err)
}

// TUN is the interface's descriptor, nil if none was asked for. It belongs to the session.
func (s *Session) TUN() *os.File { return s.tun }

// Redirect tells where a connection from the command to dst, a gateway address, really leads: to a nameserver of the host
// or to its loopback. Everywhere else ok is false.
func (s *Session) Redirect(dst netip.AddrPort) (real netip.AddrPort, ok bool) {
	return s.redirects.lookup(dst)
}

// Run lets the command start and returns its exit status as a shell counts it, once it and all it left behind have
// ended. Meanwhile signals to this process go to the command. An error comes with the status 126 or 127 if the command
// could not be run, 137 if the context ended first.
func (s *Session) Run() (status int, err error) {
	signals := relayedSignals()
	defer signal.Stop(signals)
	// A line of the log must not end the router when nobody reads it, nor stop one in the background.
	signal.Ignore(unix.SIGPIPE, unix.SIGTTOU)
	defer signal.Reset(unix.SIGPIPE, unix.SIGTTOU)

	s.terminal.lend()
	reports := make(chan report)
	go s.listen(reports)
	_ = s.channel.send(order{Start: true}) // if init is gone, so are its reports
	for {
		select {
		case sig := <-signals:
			s.relay(sig)
		case r, ok := <-reports:
			switch {
			case !ok:
				return s.result(err)
			case r.Stopped:
				s.terminal.commandStopped(s.init.Process.Pid)
			default:
				err = errors.New(r.Failed)
			}
		}
	}
}

// listen forwards init's reports until it is gone.
func (s *Session) listen(reports chan<- report) {
	defer close(reports)
	for {
		var r report
		if _, err := s.channel.receive(&r); err != nil {
			return
		}
		reports <- r
	}
}

// result waits for init, which ends with the command's status.
func (s *Session) result(err error) (int, error) {
	_ = s.init.Wait() // the status is in ProcessState
	status := s.init.ProcessState.ExitCode()
	if status < 0 {
		status = statusSignalled + int(unix.SIGKILL) // of init, and so of the command
	}
	s.terminal.restore(status > statusSignalled)
	if s.ctx.Err() != nil {
		err = context.Cause(s.ctx)
	}
	return status, err
}

// kill ends the namespaces with everything that runs in them.
func (s *Session) kill() {
	_ = s.init.Process.Kill() // an error: it has ended by itself
	s.channel.close()
}

// Close ends what has not ended yet and closes the TUN.
func (s *Session) Close() {
	s.detach()
	s.kill()
	_ = s.init.Wait() // an error: Run has done it
	s.terminal.close()
	if s.tun != nil {
		_ = s.tun.Close()
	}
}
