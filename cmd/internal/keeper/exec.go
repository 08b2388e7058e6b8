//go:build linux

package keeper

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/host"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/memory"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/stack/resolver"
	"syntap/tun/flow"
)

// DefaultDrain is how long Exec waits by default until the command's data is delivered. The kernel
// without a router has no such limit, but no caller waits for it.
const DefaultDrain = 10 * time.Second

// Execution says how Exec is to carry a command's traffic.
type Execution struct {
	Config *config.Config
	Log    *audit.Log // of handshakes, which Exec closes
	Logger *logrus.Logger

	// Redirect are destinations that stand for others, in the place of gateways and nameservers;
	// nil = these do.
	Redirect map[netip.AddrPort]netip.AddrPort

	// KeepRights leaves this process those that a keeper does not need, for what it does after
	// this.
	KeepRights bool

	// Attempted gets each attempt of the command to reach a server or, where policy denies that, to
	// have a name resolved. It must not block. nil disables it.
	Attempted func(*attempt.Attempt)
	// Resolved gets each response to a DNS query of the command, whose owner may be nil. It must
	// not block. nil disables it.
	Resolved func(o *record.Owner, response *flow.DNS)
}

// Exec runs one command whose only way out is a TUN interface, has its traffic carried from the
// caller's network namespace, and returns the command's exit status. Data that the command sent
// before its end is delivered first, for up to drain. The options' TUN, MTU and addresses come from
// the config. This process is the keeper of the router that reads the command's packets.
func Exec(ctx context.Context, e Execution, o namespace.Options, drain time.Duration) (status int, err error) {
	if err := namespace.CloseOnExec(); err != nil { // the router comes before the session does it
		return 0, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	k := e.keeper()
	if err := k.openPage(e.Config); err != nil {
		return 0, limits.Explain(err)
	}
	defer k.page.close()
	opened := make(chan error, 1)
	go func() { // while the namespaces are made
		_, err := k.open(ctx)
		opened <- limits.Explain(err)
	}()
	session, err := e.start(ctx, k, o)
	if err != nil {
		stop(err)
		<-opened //nolint:errcheck // the session's error is the first
		if c := k.router.Load(); c != nil {
			c.kill()
		}
		return 0, err
	}
	defer session.Close()
	if err := <-opened; err != nil {
		return 0, err
	}
	k.takeSession(session)
	return k.carry(ctx, stop, session, drain)
}

// keeper returns the keeper of the routers.
func (e *Execution) keeper() *keeper {
	k := &keeper{log: e.Logger, start: newStarter(e.Logger), records: newRecords(e.Log), command: &command{Execution: e}}
	k.config.Store(e.Config)
	// Before the command can write them.
	k.command.hosts, k.command.known = hostfile.ReadHosts(hostfile.HostsPath, e.Logger), hostfile.Nameservers()
	if namesAreVirtual(e.Config) {
		k.command.virtual = message.NewVirtualPool()
	}
	return k
}

// start starts the session.
func (e *Execution) start(ctx context.Context, k *keeper, o namespace.Options) (*namespace.Session, error) {
	c := e.Config
	o.TUN, o.MTU, o.Queues, o.Addresses = c.TUN.Name, c.TUN.MTU, host.Queues(c), c.TUN.Addresses
	o.Redirected, o.KeepNames = k.redirect, k.command.keepsNameservers()
	if doors := namespace.RootDoors(o.Hide); len(doors) > 0 {
		e.Logger.WithFields(logrus.Fields{"sockets": doors, "hint": "--hide PATH"}).
			Warn("the command can reach services that run programs outside, as root")
	}
	if p := k.command.virtual; p != nil {
		o.Routes = p.Networks()
		var err error
		if k.command.dns, err = openDNSFiles(); err != nil {
			return nil, err
		}
	}
	return namespace.Start(ctx, o)
}

// takeSession gives the keeper all that its routers get of a session.
func (k *keeper) takeSession(s *namespace.Session) {
	k.tun = s.TUN()
	if links := s.OtherLinks(); links != nil {
		k.log.WithFields(logrus.Fields{"interfaces": links, "hint": "make the sandbox without a network"}).
			Warn("the network of --netns has other ways out, past syntap: that traffic is not recorded, and no rule holds for it")
	}
	k.command.redirects.CompareAndSwap(nil, numbered(s.Redirects()))
	if k.command.network = s.Network(); k.command.network != nil && k.command.needsOwners() {
		finder, err := owner.NewFinder(k.command.network)
		if err != nil {
			k.log.WithError(err).Warn("cannot look for the programs that open connections")
		}
		k.finder = finder
	}
	k.page.await()
	if !k.command.KeepRights {
		k.isolate()
	}
}

// carry has routers carry the session's packets until its command has ended and its data is
// delivered, and returns the command's exit status. Without a router the command has no way out:
// then stop ends it, too.
func (k *keeper) carry(
	ctx context.Context, stop context.CancelCauseFunc, session *namespace.Session, drain time.Duration,
) (status int, err error) {
	limits.OneProcessor(os.Getenv)
	k.records.start()
	routing, stopRouting := context.WithCancel(ctx)
	defer stopRouting()
	routed := make(chan error, 1)
	go func() {
		err := k.route(routing)
		if routing.Err() == nil {
			stop(err)
		}
		routed <- err
	}()
	go func() {
		if err := k.records.watch(routing); err != nil {
			stop(err)
		}
	}()
	go memory.ReturnAll(routing)
	go k.tellFiles(routing)
	status, err = session.Run()
	k.deliver(routing, session, drain)
	stopRouting()
	for _, other := range []error{<-routed, k.records.close()} {
		if !errors.Is(err, other) {
			err = errors.Join(err, other)
		}
	}
	return status, err
}

// route has routers read the TUN until ctx ends. Then the last one ends, or is killed.
func (k *keeper) route(ctx context.Context) error {
	c := k.router.Load()
	defer func() { k.router.Load().kill() }() // one that has ended is dead already
	if err := k.hand(c); err != nil {
		return err
	}
	k.page.start(ctx)
	defer k.page.end()
	last, err := k.follow(ctx, c)
	if last != nil && last.Untold > 0 {
		k.log.WithField("attempts", last.Untold).Warn("the list of denials and the learned policy lack attempts")
	}
	if err == nil && ctx.Err() == nil {
		err = errors.New("the router has ended unasked")
	}
	return err
}

// deliver waits until the command's bytes are delivered, until drain is over or a signal comes, or
// until ctx ends.
func (k *keeper) deliver(ctx context.Context, session *namespace.Session, drain time.Duration) {
	wait, stop := session.UntilSignalled(ctx)
	defer stop()
	if ctx.Err() != nil {
		return
	}
	wait, cancel := context.WithTimeout(wait, drain)
	defer cancel()
	if left := k.router.Load().deliver(wait); left > 0 {
		k.log.WithFields(logrus.Fields{"connections": left, "hint": "--drain DURATION"}).
			Warn("reset connections whose far side had not yet taken all that the command sent")
	}
}

// deliver has a router deliver what its clients have sent, until ctx ends, and returns how many
// connections are left.
func (c *child) deliver(ctx context.Context) (left int) {
	select {
	case <-c.running:
	case <-c.done:
		return 0
	case <-ctx.Done():
		return 0
	}
	if c.send(message.Order{Drain: true}) != nil {
		return 0
	}
	select {
	case left = <-c.drained:
		return left
	case <-c.done:
		return 0
	case <-ctx.Done():
	}
	if c.send(message.Order{Enough: true}) != nil {
		return 0
	}
	select {
	case left = <-c.drained:
	case <-c.done:
	case <-time.After(c.patience):
	}
	return left
}

// openDNSFiles opens the sockets at which routers answer the command's DNS queries.
func openDNSFiles() ([]*os.File, error) {
	udp, tcp, err := resolver.Listen()
	if err != nil {
		return nil, err
	}
	defer udp.Close()
	defer tcp.Close()
	u, udpErr := udp.File()
	t, tcpErr := tcp.File()
	return []*os.File{u, t}, errors.Join(udpErr, tcpErr)
}
