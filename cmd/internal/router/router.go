//go:build linux

package router

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/memory"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/sockets"
	"syntap/cmd/internal/web"
	"syntap/stack"
	"syntap/stack/dial"
	"syntap/stack/nat/mappings"
	"syntap/stack/virtual"
	"syntap/tap"
	"syntap/tun"
	"syntap/tun/flow"
)

// router says how Route is to carry traffic.
type router struct {
	Config  *config.Config
	Log     *remote.Log        // of handshakes
	Logger  logrus.FieldLogger // of the program itself
	Figures *web.Figures       // count all this for those who ask; nil = they cannot

	// Isolate has this process give up, for good and before the first packet, all rights that a
	// router does not need (package isolate). It can execute no program then.
	Isolate  bool
	isolated func(isolate.Process) // gets this process with its rights, once it opens no more files; nil disables it

	// Started gets Stack.Drain when the stack is ready; nil = it is not needed.
	Started func(drain func(context.Context) (left int))

	Sources  func(netip.Addr) bool // who may send into the TUN; nil = anyone
	Owners   bool                  // name the programs that local clients are in records
	Network  *owner.Network        // in which they are, which Route may close; nil = not known
	hosts    hostfile.Hosts        // by which programs of this host know addresses besides; nil = none
	sockets  *sockets.Pool         // of the keeper; nil = there is none
	searches *searches             // of the keeper for owners; nil = it makes none
	// nameservers returns those of this host, at other machines
	nameservers func() []netip.Addr

	// Of run.

	Summary bool     // log the counts of records and drops when it ends
	Reload  *reloads // nil = never
	// nextHosts returns the hosts that count from the next reload on
	nextHosts func() hostfile.Hosts
	// Stores returns the state of the stores that the log is sent to; nil = it is sent to none.
	Stores     func() []fleet.Stats
	QueueDrops func() uint64                           // packets that the kernel dropped before they could be read; nil = not known
	PastDrops  func() uint64                           // packets that were refused on their way past the TUN; nil = not known
	sent       func() *message.SentState               // the comparison of connections with records; may return nil
	announce   func(to netip.AddrPort, own bool) error // tells the keeper of connections to come; nil disables it
	resolvers  func(uid uint32) bool                   // whether a user resolves names for this host's programs; nil = none does
	Forwards   bool                                    // clients may be behind other links of this host, which it forwards to
	KeepSource func(netip.Addr) bool                   // clients whose address host sockets keep; nil = none
	Mark       uint32                                  // of upstream sockets, 0 = none
	Host       *dial.HostAddrs                         // this host's addresses, for sockets with Mark; nil makes a set
	OnHost     func(netip.Addr) bool                   // who may use this host's links as if there were no router; nil = none

	// Of exec.

	// Local tells whether a client is a program of this host or of exec's; nil = who has an address
	// of this host.
	Local func(netip.Addr) bool
	// Nameserver reports whether an address is one that clients have for the DNS; nil = none is.
	Nameserver func(netip.Addr) bool
	// Redirect returns the destination to dial for one that stands for another, and that the deny
	// list does not hold for; nil = none does.
	Redirect func(dst netip.AddrPort) (to netip.AddrPort, ok bool)
	Virtual  *virtual.Table // the addresses that stand for names; nil = none do
	// Attempted gets each attempt of a client to reach a server or, where policy denies that, to
	// have a name resolved. It must not block. nil disables it.
	Attempted func(*attempt.Attempt)
	// Resolved gets each response to a DNS query of a client whose owner, if not nil, is known. It
	// must not block. nil disables it.
	Resolved func(o *record.Owner, response *flow.DNS)
}

// Route carries the frames of link until ctx ends or the link fails. It closes the link, and
// the log when everything has been written.
func (r *router) Route(ctx context.Context, link tun.Link) error {
	return errors.Join(write(ctx, r.Log, func(ctx context.Context) error { return r.route(ctx, link) }))
}

func (r *router) route(ctx context.Context, link tun.Link) error {
	a := &assembly{router: r, link: link}
	a.blackHoles = newBlackHoles(a)
	defer a.blackHoles.Close()
	rules, err := r.Config.CompileRules(a.blackHoles.MSS)
	if err != nil {
		_ = link.Close()
		return err
	}
	leaving := r.Config.Egress.Compile()
	for _, warning := range r.Config.Warnings(rules, leaving) {
		r.Logger.Warn(warning)
	}
	r.warnDescriptors()
	if r.Host == nil {
		r.Host = &dial.HostAddrs{Mark: r.Mark, Sockets: r.upstream()}
	}
	defer r.Host.Close()
	defer a.close()
	if err := a.build(rules, leaving); err != nil {
		_ = link.Close()
		return err
	}
	a.program, _ = memory.OpenProgram() // without it pages of the program stay in memory
	defer a.program.Close()
	if r.Isolate {
		r.isolate()
	}
	a.connect()
	return a.run(ctx)
}

// write has the log write while work runs, and to its end after that. A log that ends early, as
// on_full: stop asks for, ends the work.
func write(ctx context.Context, log *remote.Log, work func(context.Context) error) (workErr, logErr error) {
	logCtx, silent := context.WithCancel(context.WithoutCancel(ctx))
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	written := make(chan error, 1)
	go func() {
		written <- log.Run(logCtx)
		stop() // without a log there is no work
	}()
	workErr = work(workCtx)
	silent()
	return workErr, <-written
}

// tapOptions, stackOptions and dialOptions translate the parts of the config that can be reloaded.

func (r *router) tapOptions() tap.Options {
	c := r.Config
	return tap.Options{
		Timeout:           c.Tap.Timeout,
		DialTimeout:       c.Egress.DialTimeout,
		TCPFlows:          c.Limits.TCPFlows,
		TCPFlowsPerSource: c.Limits.TCPFlowsPerSource,
	}
}

func (r *router) stackOptions() stack.Options {
	c := r.Config
	return stack.Options{
		DialTimeout:      c.Egress.DialTimeout,
		HandshakeTimeout: c.Tap.Timeout,
		Keepalive:        keepalive(c),
		TCPFlows:         c.Limits.TCPFlows,
		Datagrams: mappings.Limits{
			Mappings:    c.Limits.UDPFlows,
			PerSource:   c.Limits.UDPFlowsPerSource,
			UDPTimeout:  c.Egress.UDPTimeout,
			ICMPTimeout: c.Egress.ICMPTimeout,
		},
		HalfOpen:          c.Limits.HalfOpen,
		HalfOpenPerSource: c.Limits.HalfOpenPerSource,
		Memory:            int64(c.Limits.Memory),
		BusyPoll:          busyPoll(c.Egress.BusyPoll),
	}
}

func (a *assembly) dialOptions() dial.Options {
	c := a.Config
	return dial.Options{
		Sockets: a.upstream(), Announce: a.announce, Mark: a.Mark, Interface: c.Egress.Interface,
		Policy: destinations(c, a.Host, a.OnHost, a.nameservers), Redirect: a.Redirect,
		Rules: a.policy.rule, Virtual: a.Virtual, Keepalive: keepalive(c), UserTimeout: c.Egress.UserTimeout,
	}
}

// upstream returns the sockets that the keeper makes; nil = this process makes its own.
func (r *router) upstream() dial.Sockets {
	if r.sockets == nil {
		return nil
	}
	return r.sockets
}

// keepalive returns the config's keepalive of silent connections. It holds for both ends.
func keepalive(c *config.Config) dial.Keepalive {
	e := &c.Egress
	return dial.Keepalive{Idle: e.KeepaliveIdle, Interval: e.KeepaliveInterval, Probes: e.KeepaliveProbes}
}

// local returns a test that tells the programs of this host, or of exec, from clients behind it.
func (r *router) local() func(netip.Addr) bool {
	if r.Local != nil {
		return r.Local
	}
	return r.Host.Contains
}

// busyPoll returns limit, or 0 where Go may use all processors: a poll would take one from clients.
func busyPoll(limit time.Duration) time.Duration {
	if runtime.NumCPU() <= limits.Workers() {
		return 0
	}
	return limit
}
