//go:build linux

package app

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/record"
	"syntap/stack/resolver"
	"syntap/stack/virtual"
)

// virtualNames answer the command's DNS queries with addresses that stand for names.
type virtualNames struct {
	resolver *resolver.Resolver
	server   *resolver.Server
	session  *namespace.Session
	serving  sync.WaitGroup
}

// namesAreVirtual reports whether the command of exec knows servers by virtual addresses.
func namesAreVirtual(c *config.Config) bool {
	switch c.Egress.Names {
	case config.NamesVirtual:
		return true
	case config.NamesAuto:
		return c.Egress.HasNames()
	case config.NamesDNS, config.NamesOff:
	}
	return false
}

// benchmarks is the benchmarking network (RFC 2544), which has no hosts.
var benchmarks = netip.MustParsePrefix("198.18.0.0/15")

// newPool returns virtual addresses that mean nothing else to the command: of the benchmarking
// network, from any place on, but for those of the TUN and its gateways, and of a ULA network of
// this run (RFC 4193 §3.2.2).
func newPool(c *config.Config) virtual.Pool {
	var b [16]byte
	_, _ = rand.Read(b[1:8]) // it does not fail
	b[0] = 0xfd
	first := binary.BigEndian.Uint16(b[6:])
	b[6], b[7] = 0, 0
	return virtual.Pool{
		V4: benchmarks, First: int(first), V6: netip.PrefixFrom(netip.AddrFrom16(b), 64),
		Reserved: func(a netip.Addr) bool {
			return namespace.MayStandForNameserver(a) ||
				slices.ContainsFunc(c.TUN.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
		},
	}
}

// startVirtualNames begins to answer queries of a session's command.
func startVirtualNames(
	ctx context.Context, r *Router, pool virtual.Pool, session *namespace.Session,
) (*virtualNames, error) {
	v := &virtualNames{session: session}
	v.resolver = resolver.New(resolver.Options{
		Pool: pool, Servers: session.Nameservers, Dialer: dialerOf(r.Config.Egress.Interface),
		NoECH: r.Config.Egress.Strict, Exceeded: r.exceeded(),
	})
	var err error
	if v.server, err = resolver.Listen(v.resolver); err != nil {
		v.resolver.Close()
		return nil, err
	}
	v.serving.Go(func() { v.server.Run(ctx) })
	context.AfterFunc(ctx, v.resolver.Stop)
	return v, nil
}

// exceeded returns a function that takes domains whose names may carry data out, for
// resolver.Options.Exceeded. Each is a finding, unless findings are off.
func (r *Router) exceeded() func(domain string, asked int) {
	return func(domain string, asked int) {
		r.Logger.WithField("domain", domain).
			Warn("refused DNS queries: so many of them may carry data out")
		if r.Config.Tap.Findings == config.FindingsOff {
			return
		}
		r.Log.Finding(&record.Finding{
			Header: record.Header{Time: time.Now()}, Kind: record.DNSTunnel, Confidence: record.Medium,
			Name: domain, Flows: asked, Applied: true,
		})
	}
}

// close waits for the end. The context of startVirtualNames has ended.
func (v *virtualNames) close() {
	v.serving.Wait()
	v.resolver.Close()
}

// redirect leads queries to nameservers to the resolver, and leaves the rest to the session.
func (v *virtualNames) redirect(dst netip.AddrPort) (netip.AddrPort, bool) {
	if dst.Port() == portDNS && v.session.IsNameserver(dst.Addr()) {
		return v.server.Addr(), true
	}
	return v.session.Redirect(dst)
}

const portDNS = 53

// dialerOf returns a dialer of sockets that use one interface alone; "" lets the routes decide.
// Nameservers on this host itself stay within reach.
func dialerOf(device string) *net.Dialer {
	if device == "" {
		return new(net.Dialer)
	}
	return &net.Dialer{Control: func(_, address string, c syscall.RawConn) (err error) {
		if to, parseErr := netip.ParseAddrPort(address); parseErr == nil && to.Addr().IsLoopback() {
			return nil
		}
		controlErr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) })
		return errors.Join(controlErr, err)
	}}
}

// log says how many names have lost their addresses to others.
func (v *virtualNames) log(log logrus.FieldLogger) {
	if s := v.resolver.Table().Stats(); s.Evicted > 0 {
		log.WithFields(logrus.Fields{"names": s.Names, "evicted": s.Evicted}).
			Warn("there were more names than virtual addresses: some have lost theirs to others")
	}
}
