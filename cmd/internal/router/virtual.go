//go:build linux

package router

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/record"
	"syntap/stack/resolver"
)

// virtualNames answer the command's DNS queries with addresses that stand for names.
type virtualNames struct {
	resolver  *resolver.Resolver
	server    *resolver.Server
	redirects func() *namespace.Redirects
	serving   sync.WaitGroup
}

// newVirtualNames returns those of a router's command, which takes the sockets over.
func newVirtualNames(
	r *router, pool *message.VirtualPool, s *dnsSockets, redirects func() *namespace.Redirects,
) *virtualNames {
	v := &virtualNames{redirects: redirects}
	v.resolver = resolver.New(resolver.Options{
		Pool: pool.Pool(r.config), Servers: func() []netip.AddrPort { return redirects().Order }, Dial: r.dialNameserver,
		NoECH: r.config.Egress.Strict, Exceeded: r.exceeded(),
	})
	v.server = resolver.NewServer(v.resolver, s.udp, s.tcp)
	return v
}

// serve begins to answer queries, until ctx ends.
func (v *virtualNames) serve(ctx context.Context) {
	v.serving.Go(func() { v.server.Run(ctx) })
	context.AfterFunc(ctx, v.resolver.Stop)
}

// exceeded returns a function that takes domains whose names may carry data out, for
// resolver.Options.Exceeded. Each is a finding, unless findings are off.
func (r *router) exceeded() func(domain string, asked int) {
	return func(domain string, asked int) {
		r.logger.WithField("domain", domain).
			Warn("refused DNS queries: so many of them may carry data out")
		if r.config.Tap.Findings == config.FindingsOff {
			return
		}
		r.log.Finding(&record.Finding{
			Header: record.Header{Time: time.Now()}, Kind: record.DNSTunnel, Confidence: record.Medium,
			Name: domain, Flows: asked, Applied: true,
		})
	}
}

// close waits for the end. The context of serve has ended.
func (v *virtualNames) close() {
	v.serving.Wait()
	v.resolver.Close()
}

// redirect leads queries to nameservers to the resolver, and leaves the rest to the session.
func (v *virtualNames) redirect(dst netip.AddrPort) (netip.AddrPort, bool) {
	if dst.Port() == portDNS && v.redirects().IsNameserver(dst.Addr()) {
		return v.server.Addr(), true
	}
	return v.redirects().Lookup(dst)
}

const portDNS = 53

// log says how many names have lost their addresses to others.
func (v *virtualNames) log(log logrus.FieldLogger) {
	if s := v.resolver.Table().Stats(); s.Evicted > 0 {
		log.WithFields(logrus.Fields{"names": s.Names, "evicted": s.Evicted}).
			Warn("there were more names than virtual addresses: some have lost theirs to others")
	}
}
