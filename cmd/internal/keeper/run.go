//go:build linux

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/host"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/memory"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/tun"
	"syntap/tun/route"
)

// Service is a router of this host's traffic. Its process is the keeper: it changes the host, keeps
// the changes in place and takes them back. It reads no packet: that is for another process, a
// router, which it starts, and starts again when that dies.
type Service struct {
	Config   *config.Config
	Stdout   io.Writer // for the log "-"
	StateDir string    // of the journal of changes of the host
	Logger   *logrus.Logger
	Notify   *Notifier
	Reloads  Reloads
	Again    <-chan os.Signal // requests to stop that follow the first

	keeper *keeper
}

// Reloads says how a running Service gets another config.
type Reloads struct {
	Requests <-chan os.Signal // each asks for one
	Read     func() (*config.Config, error)
}

// Open opens the logs and the listener, and starts the router. After an error there is none.
func (s *Service) Open(ctx context.Context) error {
	if err := route.Await(s.StateDir, s.Config.TUN.Name, patience); err != nil {
		return err
	}
	if err := namespace.CloseOnExec(); err != nil {
		return err
	}
	k := &keeper{
		log: s.Logger, notify: s.Notify, start: newStarter(s.Logger), alone: isolate.NeedsAlone(), past: make(chan struct{}, 1),
	}
	s.keeper = k
	k.config.Store(s.Config)
	k.count(s.Config)
	if err := k.openRecords(s.Config, s.Stdout); err != nil {
		return err
	}
	if err := k.openPage(s.Config); err != nil {
		return limits.Explain(err)
	}
	_, err := k.open(ctx)
	if err != nil {
		k.page.close()
	}
	return limits.Explain(err)
}

// Run opens the TUN interface of the config, routes the host's traffic into it, and has the router
// carry it until ctx ends. Then it restores the host. After an error with on_crash: closed it
// leaves the host closed, because traffic would pass unrecorded. Where no router has carried
// packets, that is so only if a dead run had left it closed. While it stops, it logs its progress
// if it is slow or if another stop is requested.
func (s *Service) Run(ctx context.Context) (err error) {
	k := s.keeper
	router := k.router.Load()
	defer k.page.close()
	defer func() { k.router.Load().kill() }() // one that has ended is dead already
	if k.tun, err = tun.Create(s.Config.TUN.Name, s.Config.TUN.MTU, host.Queues(s.Config)); err != nil {
		return host.Explain(err, s.Config, s.StateDir)
	}
	defer k.release()
	c, _ := host.Config(s.Config, s.StateDir) // Notices reports the error
	if k.sent.tally == nil {
		c.Sent = 0
	}
	changed, err := route.Configure(c)
	if err != nil {
		return host.Explain(err, s.Config, s.StateDir)
	}
	notices := s.announce()

	stop, stopped := &stopping{log: s.Logger}, make(chan struct{})
	stop.at.Store("ending connections and writing the log")
	var watching sync.WaitGroup
	watching.Go(func() { stop.watch(ctx, s.Again, stopped) })
	defer watching.Wait()
	defer close(stopped)

	var last *message.Ended
	k.records.log.CountRead(func() (uint64, error) { return route.FramesRead(s.Config.TUN.Name) })
	k.records.start()
	if err = limits.Explain(k.take(changed, c.ByRules)); err == nil {
		err = limits.Explain(k.hand(router))
	}
	carried := err == nil
	if carried {
		k.page.start(ctx)
		last, err = s.keep(ctx, router, notices)
		k.page.end()
	}
	k.router.Load().kill()
	if logErr := k.records.close(); !errors.Is(err, logErr) {
		err = errors.Join(err, logErr)
	}
	stop.at.Store("taking rules and routes back")
	closed := s.Config.Route.OnCrash == config.Closed && (carried || changed.TookOver())
	return s.leave(changed, last, err, closed && ctx.Err() == nil)
}

// keep keeps the host and its router until ctx ends, and returns the last word of the router.
func (s *Service) keep(ctx context.Context, router *child, notices *host.NoticeBoard) (*message.Ended, error) {
	k := s.keeper
	limits.OneProcessor(os.Getenv)
	var last *message.Ended
	var routed error
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { memory.ReturnAll(running); return nil })
	g.Go(func() error { return notices.Watch(running, k.host, func() { put(k.past, struct{}{}) }) })
	g.Go(func() error { s.Notify.Run(running, k.alive); return nil })
	g.Go(func() error { k.serveReloads(running, &s.Reloads); return nil })
	g.Go(func() error { k.tellPast(running); return nil })
	g.Go(func() error { k.tellStores(running); return nil })
	g.Go(func() error { k.tellResolvers(running); return nil })
	g.Go(func() error { k.tellFiles(running); return nil })
	g.Go(func() error { k.runCount(running); return nil })
	g.Go(func() error { k.tellSent(running); return nil })
	g.Go(func() error { return k.records.watch(running) })
	g.Go(func() error {
		last, routed = k.follow(running, router)
		if routed == nil && running.Err() == nil {
			routed = errors.New("the router has ended unasked")
		}
		return routed
	})
	err := g.Wait()
	if routed != nil && errors.Is(err, route.ErrGone) { // the router fails with the interface
		err = errors.Join(routed, err)
	}
	return last, err
}

// announce logs the notices about the host, and that its traffic is routed. It returns the board of
// the notices.
func (s *Service) announce() *host.NoticeBoard {
	board := host.Announce(s.Config, s.StateDir, s.Logger)
	s.Logger.WithFields(logrus.Fields{
		"interface": s.Config.TUN.Name, "mtu": s.Config.TUN.MTU, "queues": len(s.keeper.tun),
		"include": fmt.Sprint(s.Config.Route.Include),
	}).Info("routing")
	return board
}

// leave restores the host or, where closed is set, leaves it closed after an error. It is told how
// the router ended, if that is known.
func (s *Service) leave(host *route.Host, last *message.Ended, err error, closed bool) error {
	failed := err != nil && closed
	if failed {
		host.Abandon()
	} else {
		err = errors.Join(err, host.Close())
	}
	fields := logrus.Fields{"restored_routes": host.Restored()}
	if last != nil {
		fields["outbound_frames"], fields["inbound_frames"] = last.Outbound, last.Inbound
		fields["malformed_frames"] = last.Malformed
	}
	s.Logger.WithFields(fields).Info("stopped")
	if failed {
		remedy := `the host stays closed for the routed traffic: run it again, or open the host with "syntap cleanup"`
		if own := hint.Of(err); own != "" {
			remedy = own + "; " + remedy
		}
		return hint.Fail(err, remedy)
	}
	return err
}
