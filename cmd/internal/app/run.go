//go:build linux

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/stack/dial"
	"syntap/tun"
	"syntap/tun/route"
)

// Run opens the TUN interface that the config describes, routes the host's traffic into it and
// carries it until ctx ends. Then the host is as it was. After an error with on_crash: closed, what
// was routed goes nowhere instead: nobody would see it. The journal of what was changed stands in
// stateDir. A stop says what it is at when it is slow, and when it is asked for again.
func Run(ctx context.Context, c *config.Config, stateDir string, handshakes *audit.Log, log *logrus.Logger, notify *Notifier, reload Reload, again <-chan os.Signal) (err error) {
	reload.log, reload.notify = log, notify
	view, err := openView(c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeView(view)) }()
	dev, err := tun.Open(c.TUN.Name, c.TUN.MTU)
	if err != nil {
		return explain(err, c, stateDir)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	hostConfig, _ := hostConfig(c, stateDir)
	host, err := route.Configure(hostConfig)
	if err != nil {
		return explain(err, c, stateDir)
	}
	warnStrict(c, log)
	said := newNoticeBoard(log)
	if notices, err := Notices(c, stateDir); err != nil {
		log.WithError(err).Warn("cannot look at the host's routing")
	} else {
		said.show(notices)
	}
	log.WithFields(logrus.Fields{"interface": dev.Name(), "mtu": dev.MTU(), "include": fmt.Sprint(c.Route.Include)}).Info("routing")

	stop, stopped := &stopping{log: log}, make(chan struct{})
	stop.at.Store("ending connections and writing the log")
	var watching sync.WaitGroup
	watching.Go(func() { stop.watch(ctx, again, stopped) })
	defer watching.Wait()
	defer close(stopped)
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error {
		repairs := &repairLog{log: log}
		defer repairs.flush()
		return host.Watch(running, route.Report{
			Repair: repairs.repaired,
			Looked: func(notices []route.Notice) { repairs.looked(); said.show(notices) },
			Past:   newPastLog(log).report,
		})
	})
	g.Go(func() error { return notify.Run(running) })
	var routed error
	g.Go(func() error {
		addrs := &dial.HostAddrs{Mark: uint32(c.Route.Mark)}
		r := Router{
			Config: c, Log: handshakes, Logger: log, Summary: true, Owners: true, Forwards: true, Reload: &reload, View: view, QueueDrops: queueDrops(dev.Name()), PastDrops: host.Refused,
			Mark: uint32(c.Route.Mark), Host: addrs, OnHost: onHost(c, addrs, hostConfig.ByRules),
			KeepSource: (&hostSources{tun: c.TUN.Addresses}).contains, Sources: sources(c.TUN.Sources, addrs),
		}
		routed = r.Route(running, dev)
		return routed
	})
	if err = g.Wait(); routed != nil && errors.Is(err, route.ErrGone) { // it closes its interface when it ends for a reason of its own
		err = errors.Join(routed, err)
	}
	stop.at.Store("taking rules and routes back")
	failed := err != nil && ctx.Err() == nil && c.Route.OnCrash == config.Closed
	if failed {
		host.Abandon()
	} else {
		err = errors.Join(err, host.Close())
	}
	s := dev.Stats()
	log.WithFields(logrus.Fields{
		"outbound_frames": s.OutboundFrames.Load(), "inbound_frames": s.InboundFrames.Load(), "malformed_frames": s.Malformed.Load(),
		"restored_routes": host.Restored(),
	}).Info("stopped")
	if failed {
		return hint.Fail(err, `what was routed stays closed: run it again, or open the host with "syntap cleanup"`)
	}
	return err
}

// onHost tells the programs of this host from the machines behind it. By connection tracking its
// programs keep the host's addresses: that of the TUN is then one that machines are masqueraded by.
func onHost(c *config.Config, host *dial.HostAddrs, byRules bool) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		own := func(p netip.Prefix) bool { return p.Addr() == a }
		return host.Contains(a) && (byRules || !slices.ContainsFunc(c.TUN.Addresses, own))
	}
}

// sources resolves tun.sources: who may send into the TUN.
func sources(set config.AddressSet, host *dial.HostAddrs) func(netip.Addr) bool {
	ofHost := set.Has(config.Host)
	return func(a netip.Addr) bool {
		for _, p := range set.Prefixes {
			if p.Contains(a) {
				return true
			}
		}
		return ofHost && host.Contains(a)
	}
}

// explain adds the remedy to what can go wrong when the host is changed.
func explain(err error, c *config.Config, stateDir string) error {
	path := new(fs.PathError)
	switch {
	case errors.Is(err, syscall.EMFILE):
		return hint.Fail(err, moreDescriptors)
	case errors.Is(err, syscall.ENOTTY):
		return hint.Fail(err, "/dev/net/tun is not the kernel's TUN device: mknod /dev/net/tun c 10 200")
	case errors.As(err, &path) && strings.HasPrefix(path.Path, stateDir):
		return hint.Fail(err, "the journal, by which a crash is cleaned up, needs a directory that can be written: name one in RUNTIME_DIRECTORY, here and for \"syntap cleanup\"")
	case errors.As(err, &path) && strings.HasSuffix(path.Path, "/disable_ipv6"):
		return hint.Fail(err, "IPv6 is off here and /proc/sys cannot be written, as in a container: start it with the sysctl net.ipv6.conf.default.disable_ipv6=0, or leave IPv6 out of tun.addresses and route.include")
	case errors.Is(err, os.ErrPermission):
		return hint.Fail(err, `run it as root or with CAP_NET_ADMIN; without either, "syntap exec" routes a single command`)
	case errors.Is(err, os.ErrExist):
		return hint.Fail(err, "stop the program that has the interface, or set another tun.name")
	case errors.Is(err, os.ErrNotExist):
		return hint.Fail(err, "load the kernel's TUN driver: modprobe tun")
	case errors.Is(err, route.ErrRunning):
		return hint.Fail(err, "stop it, or set another tun.name")
	case errors.Is(err, route.ErrInUse):
		return hint.Fail(err, fmt.Sprintf("stop the program that uses them, clean up after a dead one with \"syntap cleanup\", or set another route.table than %d and route.priority than %d", c.Route.Table, c.Route.Priority))
	}
	return err
}
