package app

import (
	"context"
	"errors"
	"net/netip"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/namespace"
	"syntap/tun"
)

// Exec runs one command whose only way out is a TUN interface, has r carry its traffic from the caller's network namespace,
// and returns the command's exit status. The options' TUN, MTU and addresses come from r's config; r itself lacks only what
// depends on the session.
func Exec(ctx context.Context, r Router, o namespace.Options) (status int, err error) {
	c := r.Config
	r.View, err = openView(c, r.Logger)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, closeView(r.View)) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	o.TUN, o.MTU, o.Addresses = c.TUN.Name, c.TUN.MTU, c.TUN.Addresses
	if doors := namespace.RootDoors(o.Hide); len(doors) > 0 {
		r.Logger.WithFields(logrus.Fields{"sockets": doors, "hint": "--hide PATH"}).Warn("the command can reach services that run programs outside, as root")
	}
	session, err := namespace.Start(ctx, o)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	dev, err := tun.FromFile(session.TUN(), c.TUN.MTU)
	if err != nil {
		return 0, err
	}
	r.Sources = within(c.TUN.Addresses)
	r.Local = func(netip.Addr) bool { return true }
	if r.Redirect == nil {
		r.Redirect = session.Redirect
	}
	routing, stopRouting := context.WithCancel(ctx)
	defer stopRouting()
	routed := make(chan error, 1)
	go func() {
		err := r.Route(routing, dev)
		if routing.Err() == nil { // without a router the command has no way out: it ends too
			stop(err)
		}
		routed <- err
	}()
	status, err = session.Run()
	stopRouting()
	if routeErr := <-routed; !errors.Is(err, routeErr) {
		err = errors.Join(err, routeErr)
	}
	return status, err
}

// within accepts the addresses of some subnets, and what the kernel makes up for the interface itself.
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
