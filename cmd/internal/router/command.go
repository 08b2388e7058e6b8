//go:build linux

package router

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/tun"
	"syntap/tun/flow"
)

// command is all that a router of exec has of its command.
type command struct {
	o         *message.CommandRouting
	network   *owner.Network                       // nil = not known
	redirects *atomic.Pointer[namespace.Redirects] // Process's

	dns   *dnsSockets   // nil = names are not virtual
	names *virtualNames // the same

	drain    atomic.Pointer[func(context.Context) int] // nil = the router is not ready
	draining context.Context
	enough   context.CancelFunc // ends draining
}

// newCommand takes over the files that come along with a command.
func (r *Process) newCommand(o *message.CommandRouting, files []*os.File) (*command, error) {
	r.redirects.CompareAndSwap(nil, o.Redirects)
	c := &command{o: o, redirects: &r.redirects}
	c.draining, c.enough = context.WithCancel(context.Background())
	var err error
	if o.Virtual != nil {
		if c.dns, err = dnsSocketsOf(files[:message.DNSFiles]); err != nil {
			return nil, err
		}
		files = files[message.DNSFiles:]
	}
	if o.Network > 0 {
		if c.network, err = owner.NetworkOf(files, o.Device); err != nil {
			return nil, fmt.Errorf("take over the command's network: %w", err)
		}
	}
	return c, nil
}

// redirect is for router.redirect.
func (c *command) redirect(dst netip.AddrPort) (netip.AddrPort, bool) {
	if c.o.Others != nil {
		to, ok := c.o.Others[dst]
		return to, ok
	}
	return c.redirects.Load().Lookup(dst)
}

// deliver delivers what the command has sent, and tells the keeper how many connections are left.
func (c *command) deliver(r *Process) {
	left := 0
	if drain := c.drain.Load(); drain != nil {
		left = (*drain)(c.draining)
	}
	_ = r.say(message.Word{Drained: &left}) // without a keeper there is no router
}

// routeCommand routes the packets of exec's command.
func (r *Process) routeCommand(ctx context.Context, dev *tun.Device) error {
	c := r.command
	defer c.enough()
	go r.obey()
	routing, stop := context.WithCancel(ctx)
	defer stop()
	router := r.router()
	router.sources, router.isLocal = within(r.config.TUN.Addresses), func(netip.Addr) bool { return true }
	router.nameserverAt = func(a netip.Addr) bool { return c.redirects.Load().IsNameserver(a) }
	router.redirect, router.hosts = c.redirect, *r.hosts.Load()
	router.namesOwners, router.network = c.network != nil, c.network
	router.started = func(drain func(context.Context) int) {
		c.drain.Store(&drain)
		if c.names != nil {
			c.names.serve(routing)
		}
		_ = r.say(message.Word{Running: true})
	}
	if c.o.Attempts {
		router.attempted = func(a *attempt.Attempt) { r.tell(message.Told{Attempt: a}) }
	}
	if c.o.Responses {
		router.resolved = func(o *record.Owner, response *flow.DNS) { r.tell(message.Told{Owner: o, Response: response}) }
	}
	if r.figures != nil {
		router.isolated = func(p isolate.Process) { r.rights.Store(&p) }
	}
	if c.o.Virtual != nil {
		c.names = newVirtualNames(router, c.o.Virtual, c.dns, c.redirects.Load)
		defer func() {
			stop()
			c.names.close()
			c.names.log(r.logger)
		}()
		router.redirect, router.virtual = c.names.redirect, c.names.resolver.Table()
	}
	return router.route(ctx, dev)
}

// tell tells the keeper of an attempt, or of a response.
func (r *Process) tell(t message.Told) {
	words, err := json.Marshal(t)
	if err != nil || !r.log.Say(words) {
		r.untold.Add(1)
	}
}
