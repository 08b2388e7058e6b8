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

// router says how route is to carry traffic.
type router struct {
	config  *config.Config
	log     *remote.Log        // of handshakes
	logger  logrus.FieldLogger // of the program itself
	figures *web.Figures       // count all this for those who ask; nil = they cannot

	// isolates has this process give up, for good and before the first packet, all rights that a
	// router does not need (package isolate). It can execute no program then.
	isolates bool
	isolated func(isolate.Process) // gets this process with its rights, once it opens no more files; nil disables it

	// started gets Stack.Drain when the stack is ready; nil = it is not needed.
	started func(drain func(context.Context) (left int))

	sources     func(netip.Addr) bool // who may send into the TUN; nil = anyone
	namesOwners bool                  // name the programs that local clients are in records
	network     *owner.Network        // in which they are, which route may close; nil = not known
	hosts       hostfile.Hosts        // by which programs of this host know addresses besides; nil = none
	sockets     *sockets.Pool         // of the keeper; nil = there is none
	searches    *searches             // of the keeper for owners; nil = it makes none
	// nameservers returns those of this host, at other machines
	nameservers func() []netip.Addr

	// Of run.

	logsSummary bool     // log the counts of records and drops when it ends
	reloads     *reloads // nil = never
	// nextHosts returns the hosts that count from the next reload on
	nextHosts func() hostfile.Hosts
	// knownStores returns the state of the stores that the log is sent to; nil = there are none.
	knownStores func() []fleet.Stats
	queueDrops  func() uint64                           // packets that the kernel dropped before they could be read; nil = not known
	pastDrops   func() uint64                           // packets that were refused on their way past the TUN; nil = not known
	sent        func() *message.SentState               // the comparison of connections with records; may return nil
	announce    func(to netip.AddrPort, own bool) error // tells the keeper of connections to come; nil disables it
	resolvers   func(uid uint32) bool                   // whether a user resolves names for this host's programs; nil = none does
	forwards    bool                                    // clients may be behind other links of this host, which it forwards to
	keepsSource func(netip.Addr) bool                   // clients whose address host sockets keep; nil = none
	mark        uint32                                  // of upstream sockets, 0 = none
	hostAddrs   *dial.HostAddrs                         // this host's addresses, for sockets with the mark; nil makes a set
	onHost      func(netip.Addr) bool                   // who may use this host's links as if there were no router; nil = none

	// Of exec.

	// isLocal tells whether a client is a program of this host or of exec; nil = who has an address
	// of this host.
	isLocal func(netip.Addr) bool
	// nameserverAt reports whether clients have an address for the DNS; nil = they have none.
	nameserverAt func(netip.Addr) bool
	// redirect returns the destination to dial for one that stands for another, and that the deny
	// list does not hold for; nil = none does.
	redirect func(dst netip.AddrPort) (to netip.AddrPort, ok bool)
	virtual  *virtual.Table // the addresses that stand for names; nil = none do
	// attempted gets each attempt of a client to reach a server or, where policy denies that, to
	// have a name resolved. It must not block. nil disables it.
	attempted func(*attempt.Attempt)
	// resolved gets each response to a DNS query of a client whose owner, if not nil, is known. It
	// must not block. nil disables it.
	resolved func(o *record.Owner, response *flow.DNS)
}

// route carries the frames of link until ctx ends or the link fails. It closes the link, and
// the log when everything has been written.
func (r *router) route(ctx context.Context, link tun.Link) error {
	return errors.Join(write(ctx, r.log, func(ctx context.Context) error { return r.carry(ctx, link) }))
}

func (r *router) carry(ctx context.Context, link tun.Link) error {
	a := &assembly{router: r, link: link}
	a.blackHoles = newBlackHoles(a)
	defer a.blackHoles.Close()
	rules, err := r.config.CompileRules(a.blackHoles.MSS)
	if err != nil {
		_ = link.Close()
		return err
	}
	leaving := r.config.Egress.Compile()
	for _, warning := range r.config.Warnings(rules, leaving) {
		r.logger.Warn(warning)
	}
	r.warnDescriptors()
	if r.hostAddrs == nil {
		r.hostAddrs = &dial.HostAddrs{Mark: r.mark, Sockets: r.upstream()}
	}
	defer r.hostAddrs.Close()
	defer a.close()
	if err := a.build(rules, leaving); err != nil {
		_ = link.Close()
		return err
	}
	a.program, _ = memory.OpenProgram() // without it pages of the program stay in memory
	defer a.program.Close()
	if r.isolates {
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
	c := r.config
	return tap.Options{
		Timeout:           c.Tap.Timeout,
		DialTimeout:       c.Egress.DialTimeout,
		TCPFlows:          c.Limits.TCPFlows,
		TCPFlowsPerSource: c.Limits.TCPFlowsPerSource,
	}
}

func (r *router) stackOptions() stack.Options {
	c := r.config
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
	c := a.config
	return dial.Options{
		Sockets: a.upstream(), Announce: a.announce, Mark: a.mark, Interface: c.Egress.Interface,
		Policy: destinations(c, a.hostAddrs, a.onHost, a.nameservers), Redirect: a.redirect,
		Rules: a.policy.rule, Virtual: a.virtual, Keepalive: keepalive(c), UserTimeout: c.Egress.UserTimeout,
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
	if r.isLocal != nil {
		return r.isLocal
	}
	return r.hostAddrs.Contains
}

// busyPoll returns limit, or 0 where Go may use all processors: a poll would take one from clients.
func busyPoll(limit time.Duration) time.Duration {
	if runtime.NumCPU() <= limits.Workers() {
		return 0
	}
	return limit
}
