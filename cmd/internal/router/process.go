//go:build linux

package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/audit/remote"
	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/limits"
	"syntap/cmd/internal/logger"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/namespace"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/ring"
	"syntap/cmd/internal/sockets"
	"syntap/cmd/internal/version"
	"syntap/cmd/internal/web"
	"syntap/stack/dial"
	"syntap/tun"
)

// IsProcess reports whether this process is the router of a keeper, which has started it.
func IsProcess() bool { return os.Args[0] == message.RouterName }

// Process is the router of a keeper, a process of its own.
type Process struct {
	Stderr io.Writer

	keeper   channel.Conn
	lock     []*os.File                      // of the journal, to this process's end; none without a journal
	rights   atomic.Pointer[isolate.Process] // of this process; nil = they cannot be told
	sockets  *sockets.Pool                   // that the keeper makes
	searches *searches                       // that the keeper makes
	network  *owner.Network                  // of this host; nil in exec, or where the keeper has none
	past     atomic.Uint64                   // packets that were refused on their way past the TUN
	users    atomic.Pointer[[]uint32]        // of resolvers of this host
	sent     atomic.Pointer[message.SentState]

	nameservers atomic.Pointer[[]netip.Addr]
	hosts       atomic.Pointer[hostfile.Hosts] // from the next reload on
	redirects   atomic.Pointer[namespace.Redirects]

	reload  reloads
	stop    context.CancelFunc
	command *command // nil in run

	config  *config.Config
	log     *remote.Log
	untold  atomic.Uint64                  // attempts and responses that found no room
	stores  atomic.Pointer[message.Stores] // nil = the log is sent to none
	logger  *logrus.Logger
	figures *web.Figures // nil = they are not shown
}

// Run routes as the keeper says. The error that it returns is for the user. Once the router carries
// packets, the keeper reports errors instead.
func (r *Process) Run(ctx context.Context) error {
	_ = isolate.Begin() // what is left Enter takes, and reports
	// A terminal sends them to both processes. They are for the keeper, whose orders count here.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	unix.CloseOnExec(channel.FD)
	_ = os.WriteFile("/proc/self/comm", []byte(message.RouterName), 0) // for people alone
	var err error
	if r.keeper, err = channel.Open(channel.FD); err != nil {
		return limits.Explain(err)
	}
	lines := logger.NewLines(r.Stderr)
	defer lines.Close()
	if err := r.open(lines); err != nil {
		return err
	}
	hide(r.logger)
	dev, order, err := r.takeTUN()
	if err != nil {
		return err
	}
	ctx, r.stop = context.WithCancel(ctx)
	defer r.stop()
	r.reload = reloads{requests: make(chan reloadRequest), log: r.logger}
	if order.Command != nil {
		err = r.routeCommand(ctx, dev)
	} else {
		err = r.routeHost(ctx, dev, order)
	}
	stats := dev.Stats()
	last := message.Ended{
		Outbound: stats.OutboundFrames.Load(), Inbound: stats.InboundFrames.Load(), Malformed: stats.Malformed.Load(),
		Untold: r.untold.Load(),
	}
	if err != nil {
		last.Error, last.Hint = err.Error(), hint.Of(err)
	}
	if r.say(message.Word{Ended: &last}) == nil && err != nil {
		err = hint.Exit(hint.StatusFailure) // the keeper reports it
	}
	return err
}

// open reads the config that the keeper sends, and opens all that takes rights, which the router
// gives up later.
func (r *Process) open(lines *logger.Lines) error {
	var o message.Order
	files, err := r.keeper.Receive(&o)
	if err != nil || !o.Begin {
		return fmt.Errorf("begin as a router: %w", errors.Join(err, message.ErrOrder))
	}
	var b message.Beginning
	if err := message.FromPipe(files, &b); err != nil {
		return err
	}
	r.config = b.Config
	r.hosts.Store(&b.Hosts)
	r.nameservers.Store(&b.Nameservers)
	if r.logger, err = logger.New(r.config.Log, lines); err != nil {
		return err
	}
	memory := ring.Files{Memory: os.NewFile(message.MemoryFD, "memory"), Bell: os.NewFile(message.BellFD, "bell")}
	end, err := ring.Open(&memory, message.RingSizes(r.config, true))
	if err != nil {
		return limits.Explain(err)
	}
	r.log = remote.New(end)
	_ = time.Now().Local().String() // has the file of the time zone read
	if r.config.HTTP.Listen != "" {
		r.figures = web.NewFigures(version.String(), r.config.TUN.Name, record.ThisRun(b.Began), os.Getppid())
	}
	return r.say(message.Word{Opened: true})
}

// takeTUN waits for the TUN.
func (r *Process) takeTUN() (*tun.Device, *message.Routing, error) {
	var o message.Order
	files, err := r.keeper.Receive(&o)
	for err == nil && o.Route == nil && r.note(&o, files) { // it was meant for the router before
		o = message.Order{}
		files, err = r.keeper.Receive(&o)
	}
	if errors.Is(err, io.EOF) {
		return nil, nil, hint.Exit(hint.StatusFailure) // the keeper says why
	}
	if err != nil || o.Route == nil || len(files) < o.Route.Files() {
		return nil, nil, fmt.Errorf("take over the TUN: %w", errors.Join(err, message.ErrOrder))
	}
	r.past.Store(max(r.past.Load(), o.Route.Past))
	r.users.CompareAndSwap(nil, &o.Route.Users)
	r.sent.CompareAndSwap(nil, o.Route.Sent)
	makes, err := channel.Socket(files[0])
	if err != nil {
		return nil, nil, err
	}
	r.sockets = sockets.NewPool(makes)
	files = files[1:]
	if o.Route.Searches {
		r.searches = &searches{log: r.log, lacks: o.Route.Lacks}
	}
	if o.Route.Shown {
		conn, err := channel.Socket(files[0])
		if err != nil {
			return nil, nil, err
		}
		go func() { _ = channel.Answer(conn, r.answer) }()
		files = files[1:]
	}
	queues := files[:o.Route.Queues]
	files = files[len(queues):]
	if o.Route.Command != nil {
		if r.command, err = r.newCommand(o.Route.Command, files); err != nil {
			return nil, nil, err
		}
	} else {
		if o.Route.Network > 0 {
			if r.network, err = owner.NetworkOf(files[:o.Route.Network], o.Route.Device); err != nil {
				return nil, nil, err
			}
		}
		r.lock = files[o.Route.Network:]
	}
	dev, err := tun.FromFiles(queues, r.config.TUN.MTU)
	for _, f := range queues {
		_ = f.Close()
	}
	return dev, o.Route, err
}

// obey follows the keeper's orders. Without a keeper there is no router.
func (r *Process) obey() {
	for {
		var o message.Order
		files, err := r.keeper.Receive(&o)
		switch {
		case err != nil:
			os.Exit(hint.StatusFailure)
		case o.Ping:
			_ = r.say(message.Word{Pong: true})
		case o.Stop:
			r.stop()
		case o.Drain:
			go r.command.deliver(r)
		case o.Enough:
			r.command.enough()
		case o.Reload:
			go func() { r.reload.requests <- r.reloading(files) }()
		default:
			r.note(&o, files)
		}
	}
}

// note takes an order that says how something is. It reports whether it is one.
func (r *Process) note(o *message.Order, files []*os.File) bool {
	switch {
	case o.Past != nil:
		r.past.Store(*o.Past)
	case o.Sent != nil:
		r.sent.Store(o.Sent)
	case o.Users != nil:
		r.users.Store(o.Users)
	case o.Stores != nil:
		r.stores.Store(o.Stores)
	case o.Redirects != nil:
		r.redirects.Store(o.Redirects)
	default:
		return r.takeFile(o, files)
	}
	return true
}

// answer answers the question of the process that serves http.listen, which the keeper hands on.
func (r *Process) answer(question byte) (text []byte, err error) {
	switch {
	case r.figures == nil || question == web.AskAlive:
	case question == web.AskMetrics:
		text, err = web.EncodeMetrics(r.figures)
	case question == web.AskStatus:
		var s *web.Status
		if s, err = r.figures.Status(); err == nil {
			if p := r.rights.Load(); p != nil {
				s.Processes = []isolate.Process{*p}
			}
			text, err = json.Marshal(s)
		}
	}
	if len(text) > web.MaxAnswer {
		return nil, fmt.Errorf("the answer has %d bytes, more than %d", len(text), web.MaxAnswer)
	}
	return text, err
}

// reloading returns the request for the config that comes with an order. The keeper is told the
// outcome.
func (r *Process) reloading(files []*os.File) reloadRequest {
	return reloadRequest{
		load: func() (*config.Config, error) {
			next := new(config.Config)
			return next, message.FromPipe(files, next)
		},
		done: func(inForce *config.Config, err error) {
			said := message.Reloaded{Log: inForce.Log}
			if err != nil {
				said.Refused = err.Error()
			}
			_ = r.say(message.Word{Reloaded: &said})
		},
	}
}

// knownStores returns the last state of the stores that the keeper has told.
func (r *Process) knownStores() []fleet.Stats {
	if s := r.stores.Load(); s != nil {
		return s.Stats
	}
	return nil
}

// isResolver reports whether a user's process resolves names for programs of this host.
func (r *Process) isResolver(uid uint32) bool { return slices.Contains(*r.users.Load(), uid) }

// announce returns the function that tells the keeper of connections to come; nil where that does
// not compare them with records.
func (r *Process) announce() func(netip.AddrPort, bool) error {
	if s := r.sent.Load(); s == nil || s.Why != "" {
		return nil
	}
	return r.log.Announce
}

func (r *Process) say(w message.Word) error { return r.keeper.Send(w) }

// router returns the part of a router that does not depend on whose traffic it carries.
func (r *Process) router() *router {
	return &router{
		config: r.config, log: r.log, logger: r.logger, figures: r.figures, isolates: true,
		sockets: r.sockets, searches: r.searches, nameservers: r.knownNameservers,
	}
}

// routeHost routes the packets of the host.
func (r *Process) routeHost(ctx context.Context, dev *tun.Device, o *message.Routing) error {
	go r.obey()
	c := r.config
	addrs := &dial.HostAddrs{Mark: uint32(c.Route.Mark), Sockets: r.sockets}
	names := hostfile.ReadHosts(hostfile.HostsPath, r.logger)
	r.hosts.Store(&names)
	router := r.router()
	router.logsSummary, router.reloads, router.knownStores = true, &r.reload, r.knownStores
	router.queueDrops, router.pastDrops = queueDrops(dev.Name()), r.past.Load
	router.sent, router.announce = r.sent.Load, r.announce()
	router.namesOwners, router.network, router.resolvers = true, r.network, r.isResolver
	router.mark, router.hostAddrs, router.onHost = addrs.Mark, addrs, onHost(c, addrs, o.ByRules)
	router.forwards, router.keepsSource = true, (&hostSources{tun: c.TUN.Addresses}).contains
	router.sources = sources(c.TUN.Sources, addrs)
	router.hosts, router.nextHosts = names, r.nextHosts
	router.isolated = func(p isolate.Process) { r.rights.Store(&p) }
	router.started = func(func(context.Context) int) { _ = r.say(message.Word{Running: true}) }
	return router.route(ctx, dev)
}
