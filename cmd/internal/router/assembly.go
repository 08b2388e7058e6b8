//go:build linux

package router

import (
	"context"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/memory"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/web"
	"syntap/stack"
	"syntap/stack/dial"
	"syntap/stack/egress"
	"syntap/tap"
	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// assembly is a router at work: a tap over the link, a stack over the tap, and those that follow
// the traffic.
type assembly struct {
	*router
	link tun.Link

	names        *namer       // nil = records and rules know no names
	owners       *attribution // nil = records never name owners
	ownersStatus func() *web.Owners
	policy       *egressPolicy
	blackHoles   *blackHoles
	denied       *refusals // destinations
	strangers    *refusals // sources

	tap    *tap.Tap
	dialer *dial.Dialer
	stack  *stack.Stack

	program *memory.Program // nil = its pages stay in memory
}

func (a *assembly) build(rules *policy.Rules, leaving *egress.Rules) error {
	next := a.recorder()
	if a.names = a.namer(); a.names != nil {
		next = a.names.before(next)
	}
	a.owners, a.ownersStatus = a.attribute(next)
	a.policy = &egressPolicy{
		names: a.names, owners: a.owners, local: a.local(), virtual: a.virtual, attempted: a.attempted,
	}
	if err := a.policy.check(a.config); err != nil {
		return err
	}
	a.policy.enforce(a.config, leaving)
	a.denied = newRefusals(4, sayDenied(a.config, a.logger))
	a.strangers = newRefusals(16, sayStranger(a.logger))
	sources := knownTo(a.sources, a.strangers)
	a.tap = tap.Wrap(a.link, a.allTapOptions(rules, sources, next))
	a.dialer = dial.New(a.dialOptions())
	var err error
	a.stack, err = stack.New(a.tap, a.dialer, a.allStackOptions(sources))
	return err
}

// pathMTU may be called once the stack is made.
func (a *assembly) pathMTU(client, server netip.AddrPort) packet.MTU {
	return a.stack.PathMTU(client, server)
}

func (a *assembly) allTapOptions(
	rules *policy.Rules, sources func(netip.Addr) bool, next func(*record.Attributed),
) tap.Options {
	o := a.tapOptions()
	o.Rules, o.Sources, o.Local, o.PathMTU = rules, sources, a.local(), a.pathMTU
	o.Admission = a.log.Admission
	o.OnSegment = a.log.Segment
	o.OnRecord = func(h *handshake.Record) {
		next(&record.Attributed{Record: h, Opening: new(record.Opening)})
	}
	if owners := a.owners; owners != nil {
		o.OnRecord = owners.record
		o.OnSegment = func(k flow.Key, s handshake.Segment) {
			owners.segment(k, s)
			a.log.Segment(k, s)
		}
	}
	if a.names != nil {
		o.OnSegment = a.names.behind(o.OnSegment, a.owners)
	}
	return o
}

func (a *assembly) allStackOptions(sources func(netip.Addr) bool) stack.Options {
	o := a.stackOptions()
	o.Log, o.Workers = a.logger, limits.Workers()
	o.Host, o.Sources, o.Local, o.KeepSource = a.hostAddrs, sources, a.local(), a.keepsSource
	o.AwaitRecord = true
	o.DialDone, o.FlowDone, o.Gone = a.tap.DialDone, a.flowDone, a.tap.Forget
	o.Denied = func(server netip.Addr, d *flow.Decision) {
		if a.attempted == nil {
			name, _ := a.virtual.Name(server)
			a.denied.note(refused{Addr: server, name: name, rule: d.Rule, reason: d.Reason})
		}
	}
	o.Question, o.Contradicts, o.Strict = a.policy.question, a.policy.contradicts, a.policy.checksName
	if a.attempted != nil {
		o.Forbidden = a.forbidden
	}
	opened, open := a.opener()
	o.DatagramOpened = opened
	a.log.CountOpen(func() int { return a.tap.Open() + open() })
	if a.names != nil {
		a.names.follow(&o)
	}
	if a.resolved != nil {
		a.followResolved(&o)
	}
	if a.owners != nil {
		o.BeforeAnswer, o.BeforeDatagramAnswer = a.owners.beforeAnswer, a.owners.beforeDatagramAnswer
		o.SameSender, o.ClientEnds = a.owners.sameSender, a.owners.clientEnds
		o.FlowDone = a.owners.inOrder(o.FlowDone)
	}
	if a.forwards {
		o.ClientMTU = a.dialer.ClientMTU
	}
	sizeSockets(&o, a.tap.Rules, a.pathMTU)
	o.Stalled, o.First = a.blackHoles.Stalled, a.blackHoles.first
	if a.sockets != nil {
		o.Attach = a.sockets.Attach
	}
	return o
}

// connect gives the stack to the log, the figures, and those that follow the traffic.
func (a *assembly) connect() {
	if a.owners != nil {
		a.owners.finder.LeaveOut(a.stack.OwnsRaw)
	}
	if f := countFrames(a.link, a.tap); f != nil {
		a.log.CountFrames(f)
	}
	if a.figures != nil {
		a.figures.Count(a.counters)
	}
	a.log.OnWritten(func(k flow.Key, serverISN uint32, o *record.Opening) { a.stack.Recorded(k, serverISN, o) })
	a.log.OnDatagramWritten(a.stack.DatagramRecorded)
	if a.started != nil {
		a.started(a.stack.Drain)
	}
}

// run carries frames until ctx ends or the link fails.
func (a *assembly) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.stack.Run(ctx) })
	g.Go(func() error { return a.tap.Run(ctx) })
	g.Go(func() error { a.denied.run(ctx); return nil })
	g.Go(func() error { a.strangers.run(ctx); return nil })
	g.Go(func() error { a.blackHoles.Run(ctx); return nil })
	g.Go(func() error { memory.Return(ctx, a.program); return nil })
	if a.reloads != nil {
		g.Go(func() error { return a.serveReloads(ctx) })
	}
	err := g.Wait()
	if a.figures != nil {
		a.figures.Count(nil)
	}
	a.tap.Flush()
	if a.logsSummary {
		a.logger.WithFields(summary(a.tap.Stats(), a.stack.Stats())).Info("carried")
	}
	return err
}

func (a *assembly) close() {
	if a.owners != nil {
		_ = a.owners.close()
	}
}
