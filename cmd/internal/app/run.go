//go:build linux

package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/web"
	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/route"
)

// Service is a router of this host's traffic.
type Service struct {
	Config   *config.Config
	StateDir string     // of the journal of changes of the host
	Log      *audit.Log // of handshakes
	Fleet    *Fleet     // nil = no log is sent to stores outside
	Logger   *logrus.Logger
	Notify   *Notifier
	Reload   Reload
	Again    <-chan os.Signal // requests to stop that follow the first
}

// Run opens the TUN interface of the config, routes the host's traffic into it, and carries it
// until ctx ends. Then it restores the host. After an error with on_crash: closed it leaves the
// host closed, because traffic would pass unrecorded. While it stops, it logs its progress if it is
// slow or if another stop is requested.
func (s *Service) Run(ctx context.Context) (err error) {
	s.Reload.log, s.Reload.notify = s.Logger, s.Notify
	view, err := openView(s.Config, s.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeView(view)) }()
	dev, err := tun.OpenQueues(s.Config.TUN.Name, s.Config.TUN.MTU, queues(s.Config))
	if err != nil {
		return explain(err, s.Config, s.StateDir)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	c, _ := hostConfig(s.Config, s.StateDir) // Notices reports the error
	host, err := route.Configure(c)
	if err != nil {
		return explain(err, s.Config, s.StateDir)
	}
	notices := s.announce(dev)

	stop, stopped := &stopping{log: s.Logger}, make(chan struct{})
	stop.at.Store("ending connections and writing the log")
	var watching sync.WaitGroup
	watching.Go(func() { stop.watch(ctx, s.Again, stopped) })
	defer watching.Wait()
	defer close(stopped)

	s.Fleet.start()
	defer s.Fleet.stop() // when the log has its last record
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watch(running, host, notices) })
	g.Go(func() error { return s.Notify.Run(running) })
	var routed error
	g.Go(func() error {
		r := s.router(view, dev, host, c.ByRules)
		routed = r.Route(running, dev)
		return routed
	})
	err = g.Wait()
	if routed != nil && errors.Is(err, route.ErrGone) { // Route closes the interface when it fails
		err = errors.Join(routed, err)
	}
	stop.at.Store("taking rules and routes back")
	return s.leave(ctx, dev, host, err)
}

// announce logs that traffic is routed, and the notices about the host. It returns the board of the
// notices.
func (s *Service) announce(dev *tun.Device) *noticeBoard {
	warnStrict(s.Config, s.Logger)
	board := newNoticeBoard(s.Logger)
	if notices, err := Notices(s.Config, s.StateDir); err != nil {
		s.Logger.WithError(err).Warn("cannot read the host's routing")
	} else {
		board.show(notices)
	}
	s.Logger.WithFields(logrus.Fields{
		"interface": dev.Name(), "mtu": dev.MTU(), "queues": len(dev.Queues()),
		"include": fmt.Sprint(s.Config.Route.Include),
	}).Info("routing")
	return board
}

// watch keeps the changes of the host in place, and logs repairs, notices and traffic past the TUN.
func (s *Service) watch(ctx context.Context, host *route.Host, board *noticeBoard) error {
	repairs := &repairLog{log: s.Logger}
	defer repairs.flush()
	return host.Watch(ctx, route.Report{
		Repair: repairs.repaired,
		Looked: func(notices []route.Notice) { repairs.looked(); board.show(notices) },
		Past:   newPastLog(s.Logger).report,
	})
}

// router returns the router of the traffic of dev.
func (s *Service) router(
	view *web.Server, dev *tun.Device, host *route.Host, byRules bool,
) *Router {
	c := s.Config
	addrs := &dial.HostAddrs{Mark: uint32(c.Route.Mark)}
	return &Router{
		Config: c, Log: s.Log, Fleet: s.Fleet, Logger: s.Logger, Summary: true, Reload: &s.Reload, View: view,
		QueueDrops: queueDrops(dev.Name()), PastDrops: host.Refused,
		Owners: true, Forwards: true, Isolate: true,
		Mark: uint32(c.Route.Mark), Host: addrs, OnHost: onHost(c, addrs, byRules),
		KeepSource: (&hostSources{tun: c.TUN.Addresses}).contains,
		Sources:    sources(c.TUN.Sources, addrs),
		hosts:      readHosts(hostsFile, s.Logger),
	}
}

// leave restores the host, or leaves it closed after an error.
func (s *Service) leave(ctx context.Context, dev *tun.Device, host *route.Host, err error) error {
	failed := err != nil && ctx.Err() == nil && s.Config.Route.OnCrash == config.Closed
	if failed {
		host.Abandon()
	} else {
		err = errors.Join(err, host.Close())
	}
	stats := dev.Stats()
	s.Logger.WithFields(logrus.Fields{
		"outbound_frames":  stats.OutboundFrames.Load(),
		"inbound_frames":   stats.InboundFrames.Load(),
		"malformed_frames": stats.Malformed.Load(),
		"restored_routes":  host.Restored(),
	}).Info("stopped")
	if failed {
		return hint.Fail(err, "the host stays closed for the routed traffic: run it again, or "+
			`open the host with "syntap cleanup"`)
	}
	return err
}

// onHost tells the programs of this host from the machines behind it, by their addresses. With
// connection tracking, programs keep the host's addresses, and the TUN's is for machines that are
// masqueraded.
func onHost(c *config.Config, host *dial.HostAddrs, byRules bool) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		own := func(p netip.Prefix) bool { return p.Addr() == a }
		return host.Contains(a) && (byRules || !slices.ContainsFunc(c.TUN.Addresses, own))
	}
}

// sources returns the test of tun.sources for an address: may it send into the TUN?
func sources(set config.AddressSet, host *dial.HostAddrs) func(netip.Addr) bool {
	ofHost := set.Has(config.Host)
	return func(a netip.Addr) bool {
		contains := func(p netip.Prefix) bool { return p.Contains(a) }
		return slices.ContainsFunc(set.Prefixes, contains) || ofHost && host.Contains(a)
	}
}
