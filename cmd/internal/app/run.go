package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/stack/dial"
	"syntap/tun"
)

// Run opens the TUN interface that the config describes, routes the host's traffic into it and carries it until ctx
// ends. When it returns the host is as it was.
func Run(ctx context.Context, c *config.Config, handshakes *audit.Log, log *logrus.Logger) (err error) {
	dev, err := tun.Open(c.TUN.Name, c.TUN.MTU)
	if err != nil {
		return explain(err, c)
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	host, err := tun.Configure(tun.HostConfig{
		Name: dev.Name(), Addresses: c.TUN.Addresses, Include: c.Route.Include,
		Mark: uint32(c.Route.Mark), Table: c.Route.Table, Priority: c.Route.Priority,
	})
	if err != nil {
		return explain(err, c)
	}
	defer func() { err = errors.Join(err, host.Close()) }()

	log.WithFields(logrus.Fields{"interface": dev.Name(), "mtu": dev.MTU(), "include": fmt.Sprint(c.Route.Include)}).Info("routing")
	r := Router{Config: c, Log: handshakes, Logger: log, Mark: uint32(c.Route.Mark), Sources: sources(c.TUN.Sources)}
	err = r.Route(ctx, dev)
	s := dev.Stats()
	log.WithFields(logrus.Fields{
		"outbound_frames": s.OutboundFrames.Load(), "inbound_frames": s.InboundFrames.Load(), "malformed_frames": s.Malformed.Load(),
	}).Info("stopped")
	return err
}

// sources resolves tun.sources: who may send into the TUN.
func sources(set config.AddressSet) func(netip.Addr) bool {
	var host *dial.HostAddrs
	if set.Has(config.Host) {
		host = new(dial.HostAddrs)
	}
	return func(a netip.Addr) bool {
		for _, p := range set.Prefixes {
			if p.Contains(a) {
				return true
			}
		}
		return host != nil && host.Contains(a)
	}
}

// explain adds the remedy to what can go wrong when the host is changed.
func explain(err error, c *config.Config) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return hint.Fail(err, `run it as root or with CAP_NET_ADMIN; without either, "syntap exec" routes a single command`)
	case errors.Is(err, os.ErrExist):
		return hint.Fail(err, "stop the program that has the interface, or set another tun.name")
	case errors.Is(err, os.ErrNotExist):
		return hint.Fail(err, "load the kernel's TUN driver: modprobe tun")
	case errors.Is(err, tun.ErrRoutingInUse):
		return hint.Fail(err, fmt.Sprintf("stop the program that uses them, or set another route.table than %d and route.priority than %d", c.Route.Table, c.Route.Priority))
	}
	return err
}
