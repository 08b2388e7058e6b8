//go:build linux

package app

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/namespace"
	"syntap/tun"
)

// DefaultDrain is how long Exec waits by default until the command's data is delivered. The kernel,
// without a router, has no such limit, but no caller waits for it.
const DefaultDrain = 10 * time.Second

// Exec runs one command whose only way out is a TUN interface, has r carry its traffic from the
// caller's network namespace, and returns the command's exit status. Data that the command sent
// before its end is delivered first, for up to drain. The options' TUN, MTU and addresses come from
// r's config; r itself lacks only the parts that depend on the session.
func Exec(ctx context.Context, r Router, o namespace.Options, drain time.Duration) (status int, err error) {
	c := r.Config
	r.hosts = readHosts(hostsFile, r.Logger) // before the command can write it
	r.View, err = openView(c, r.Logger, os.Getpid(), func() []isolate.Process { return thisProcess(r.Logger) })
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeView(r.View)) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	o.TUN, o.MTU, o.Queues, o.Addresses = c.TUN.Name, c.TUN.MTU, queues(c), c.TUN.Addresses
	r.warnDoors(o.Hide)
	pool := newPool(c)
	byName := namesAreVirtual(c)
	if byName {
		o.Routes = []netip.Prefix{pool.V4, pool.V6}
	}
	session, err := namespace.Start(ctx, o)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	dev, err := tun.FromFiles(session.TUN(), c.TUN.MTU)
	if err != nil {
		return 0, err
	}
	r.serve(session)
	routing, stopRouting := context.WithCancel(ctx)
	defer stopRouting()
	if byName {
		names, err := startVirtualNames(routing, &r, pool, session)
		if err != nil {
			_ = dev.Close()
			return 0, err
		}
		defer func() {
			stopRouting()
			names.close()
			names.log(r.Logger)
		}()
		r.Redirect, r.Virtual = names.redirect, names.resolver.Table()
	}
	return r.carry(routing, stopRouting, stop, session, dev, drain)
}

// carry routes the packets of dev until the session's command has ended and its data is
// delivered, and returns the command's exit status. Without a router the command has no way out: it
// ends too, by stop.
func (r Router) carry(
	routing context.Context, stopRouting func(), stop context.CancelCauseFunc,
	session *namespace.Session, dev *tun.Device, drain time.Duration,
) (status int, err error) {
	routed, started := make(chan error, 1), make(chan func(context.Context) int, 1)
	r.Started = func(drain func(context.Context) int) { started <- drain }
	go func() {
		err := r.Route(routing, dev)
		if routing.Err() == nil {
			stop(err)
		}
		routed <- err
	}()
	status, err = session.Run()
	select {
	case deliver := <-started:
		r.deliver(routing, session, deliver, drain)
	default: // it failed at once
	}
	stopRouting()
	if routeErr := <-routed; !errors.Is(err, routeErr) {
		err = errors.Join(err, routeErr)
	}
	return status, err
}

// warnDoors warns of services of root that the command can reach.
func (r *Router) warnDoors(hidden []string) {
	if doors := namespace.RootDoors(hidden); len(doors) > 0 {
		r.Logger.WithFields(logrus.Fields{"sockets": doors, "hint": "--hide PATH"}).
			Warn("the command can reach services that run programs outside, as root")
	}
}

// serve has the programs of a session be the clients.
func (r *Router) serve(session *namespace.Session) {
	r.Sources = within(r.Config.TUN.Addresses)
	r.Local, r.children = func(netip.Addr) bool { return true }, true
	r.Nameserver = session.IsNameserver
	r.Owners, r.Network = session.Network() != nil, session.Network()
	if r.Redirect == nil {
		r.Redirect = session.Redirect
	}
}

// deliver waits until the command's bytes are delivered, until drain is over or a signal comes, or
// until ctx ends.
func (r *Router) deliver(
	ctx context.Context, session *namespace.Session, deliver func(context.Context) (left int),
	drain time.Duration,
) {
	wait, stop := session.UntilSignalled(ctx)
	defer stop()
	if ctx.Err() != nil {
		return
	}
	wait, cancel := context.WithTimeout(wait, drain)
	defer cancel()
	if left := deliver(wait); left > 0 {
		r.Logger.WithFields(logrus.Fields{"connections": left, "hint": "--drain DURATION"}).
			Warn("reset connections whose far side had not yet taken all that the command sent")
	}
}

// within accepts the addresses of some subnets, and those that the kernel makes for the interface
// itself.
func within(ps []netip.Prefix) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		for _, p := range ps {
			if p.Contains(a) {
				return true
			}
		}
		return a.IsLinkLocalUnicast()
	}
}
