//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/sockets"
	"syntap/tun/route"
)

// keeper has routers, one after the other.
type keeper struct {
	log    *logrus.Logger
	notify *Notifier
	start  func(func() error) error
	alone  bool // routers are in user namespaces of their own

	limited sync.Once // see limit

	config atomic.Pointer[config.Config] // in force
	next   atomic.Pointer[config.Config] // that is about to come into force; nil = none
	router atomic.Pointer[child]         // the present one

	records   *records
	page      *page // nil = none
	sent      counting
	sockets   atomic.Pointer[sockets.Server] // the present router's
	finder    *owner.Finder                  // of owners; nil = records name none
	resolvers *owner.Resolvers               // of this host

	command *command // nil in run

	// All that a router gets, valid once the host is changed.
	tun     []*os.File // its queues, which are never read here
	hold    *os.File   // nil where there is no journal
	host    *route.Host
	byRules bool
	past    chan struct{} // has one when packets have gone past the TUN
}

// open starts a router, and returns when it has its config and its log. A router that cannot have
// them has said why.
func (k *keeper) open(ctx context.Context) (*child, error) {
	b := &message.Beginning{Config: k.config.Load(), Began: began, Nameservers: k.nameservers()}
	if k.command != nil {
		b.Hosts = k.command.hosts
	}
	c, err := startChild(k.start, b, message.RingSizes(b.Config, false), k.writer, k.surroundings())
	if err != nil {
		return nil, err
	}
	k.router.Store(c)
	k.limited.Do(k.limit)
	select {
	case <-c.opened:
		return c, nil
	case <-ctx.Done():
		c.kill()
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.failure()
	}
}

// failure tells how a router has ended that did not end in order.
func (c *child) failure() error {
	if exit := (*exec.ExitError)(nil); errors.As(c.state, &exit) && exit.Exited() {
		return hint.Exit(exit.ExitCode()) // it has said why
	}
	if c.state == nil {
		return errors.New("the router has ended without a word")
	}
	return fmt.Errorf("the router has ended: %w", c.state)
}

// hand gives a router the TUN, and returns when it carries packets, or has ended.
func (k *keeper) hand(c *child) error {
	theirs, err := k.serve(c)
	if err != nil {
		c.kill()
		return fmt.Errorf("serve the router: %w", err)
	}
	defer channel.CloseFiles(theirs)
	network := k.openNetwork()
	if network != nil {
		defer network.Close()
	}
	o, files := k.routing(network)
	if err := c.send(message.Order{Route: o}, append(theirs, files...)...); err != nil {
		c.kill()
		return fmt.Errorf("hand the TUN to the router: %w", err)
	}
	select {
	case <-c.running:
	case <-c.done:
		if c.last == nil {
			return c.failure()
		}
	}
	return nil
}

// openNetwork opens the host's network for a router of run: in a user namespace of its own that
// would take all users for one. nil where no owners are looked for, or that of exec has its
// command's.
func (k *keeper) openNetwork() *owner.Network {
	if k.command != nil || k.finder == nil {
		return nil
	}
	n, err := owner.OpenNetwork(k.config.Load().TUN.Name)
	if err != nil {
		k.log.WithError(err).Warn("records will not name local users and processes")
	}
	return n
}

// routing returns all that a router gets with the TUN, and the files that come along.
func (k *keeper) routing(network *owner.Network) (*message.Routing, []*os.File) {
	o, files := &message.Routing{Queues: len(k.tun), Shown: k.page != nil}, slices.Clone(k.tun)
	if k.finder != nil {
		o.Searches, o.Lacks = true, k.finder.Lacks()
	}
	if k.resolvers != nil {
		o.Users = k.resolvers.All()
	}
	if k.command != nil {
		if os.Geteuid() != 0 {
			o.Lacks = nil // the processes of the command are this user's
		}
		var others []*os.File
		o.Command, others = k.command.routing()
		return o, append(files, others...)
	}
	sent := k.sentState()
	o.ByRules, o.Past, o.Sent = k.byRules, k.host.Refused(), &sent
	if network != nil {
		o.Network, o.Device = len(network.Files()), network.Device()
		files = append(files, network.Files()...)
	}
	if k.hold != nil {
		files = append(files, k.hold)
	}
	return o, files
}

// follow follows routers until ctx ends, and then has the last one end, or kills it where it does
// not. One that dies has a successor; the TUN stays, so that nothing of the host's traffic leaves
// meanwhile. One that ends in order with an error has none.
func (k *keeper) follow(ctx context.Context, c *child) (*message.Ended, error) {
	limit := restarts(200 * time.Millisecond)
	for {
		select {
		case <-c.done:
		case <-ctx.Done():
			_ = c.send(message.Order{Stop: true}) // one that takes no orders has ended, or is killed
			late := time.AfterFunc(c.patience, func() { _ = c.cmd.Process.Kill() })
			<-c.done
			late.Stop()
		}
		switch {
		case c.last != nil && c.last.Error != "":
			return c.last, hint.Fail(errors.New(c.last.Error), c.last.Hint)
		case c.last != nil:
			return c.last, nil
		case ctx.Err() != nil:
			return nil, c.failure()
		}
		const text = "the router has died, another one is started: open connections are reset"
		k.log.WithError(c.failure()).Error(text)
		var err error
		if c, err = k.replace(ctx, limit); err != nil {
			return nil, nil //nolint:nilerr // a stop is asked for, and there is nothing to be ended
		}
	}
}

// restarts bounds how often a process is started in place of one that has died: ten times at once,
// and then once in each interval. So one that is killed now and then has its successor at once, and
// one that dies at its start takes little processor time.
func restarts(interval time.Duration) *rate.Limiter { return rate.NewLimiter(rate.Every(interval), 10) }

// shortestPause is the one between two looks at whether there is another router.
const shortestPause = 10 * time.Millisecond

// replace starts a router in place of one that has died, until one takes the TUN. It fails only
// when ctx ends.
func (k *keeper) replace(ctx context.Context, limit *rate.Limiter) (*child, error) {
	told := rate.Sometimes{First: 1, Interval: time.Minute}
	for {
		if err := limit.Wait(ctx); err != nil {
			return nil, err
		}
		c, err := k.open(ctx)
		if err == nil {
			err = k.hand(c)
		}
		if ctx.Err() != nil || err == nil {
			return c, err
		}
		told.Do(func() {
			k.log.WithError(err).Error("cannot start a router, will try again")
		})
	}
}

// alive waits for the router to answer, until ctx ends: a machine that stands still for seconds is
// no fault of the router's. While there is none, the keeper is at work to have one.
func (k *keeper) alive(ctx context.Context) bool {
	c := k.router.Load()
	select {
	case <-c.running:
	default:
		return true
	}
	if c.send(message.Order{Ping: true}) != nil {
		return true
	}
	select {
	case <-c.pong:
		return true
	case <-c.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// tellPast tells the router of packets past the TUN, until ctx ends.
func (k *keeper) tellPast(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.past:
			n := k.host.Refused()
			_ = k.router.Load().send(message.Order{Past: &n}) // the next router is told at its start
		}
	}
}

// lookForOwners opens all by which the keeper looks for owners of connections, and for resolvers.
// Where it fails, records name no owners.
func (k *keeper) lookForOwners() {
	finder, err := owner.NewFinder(nil)
	if err == nil {
		k.finder = finder
		k.resolvers, err = owner.NewResolvers()
	}
	if err != nil {
		k.log.WithError(err).Warn("cannot look for the programs that open connections")
	}
}

// tellResolvers tells routers the users of resolvers of this host, until ctx ends.
func (k *keeper) tellResolvers(ctx context.Context) {
	if k.resolvers == nil {
		return
	}
	k.resolvers.Run(ctx, func() {
		users := k.resolvers.All()
		_ = k.router.Load().send(message.Order{Users: &users}) // the next router is told at its start
	})
}

// take gives the keeper all that its routers get.
func (k *keeper) take(host *route.Host, byRules bool) (err error) {
	k.host, k.byRules = host, byRules
	if k.hold, err = host.Hold(); err != nil {
		return err
	}
	k.lookForOwners()
	k.page.await()
	k.isolate()
	return nil
}

// release closes the files that the keeper has for routers.
func (k *keeper) release() {
	for _, f := range k.tun {
		_ = f.Close()
	}
	if k.hold != nil {
		_ = k.hold.Close()
	}
}
