package app

import (
	"context"
	"errors"
	"net/netip"
	"runtime"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/stack"
	"syntap/stack/dial"
	"syntap/tap"
	"syntap/tun"
)

// Router says how Route is to carry traffic.
type Router struct {
	Config *config.Config
	Log    *audit.Log         // of handshakes
	Logger logrus.FieldLogger // of the program itself

	Mark     uint32                                                // of upstream sockets, 0 = none
	Sources  func(netip.Addr) bool                                 // who may send into the TUN; nil = anyone
	Redirect func(dst netip.AddrPort) (to netip.AddrPort, ok bool) // destinations that stand for others, exempt from the deny list; nil = none
}

// Route carries what comes out of link until ctx ends or the link fails. It closes the link, and the log when everything
// has been written.
func (r *Router) Route(ctx context.Context, link tun.Link) error {
	return errors.Join(write(ctx, r.Log, func() error { return r.route(ctx, link) }))
}

func (r *Router) route(ctx context.Context, link tun.Link) error {
	c := r.Config
	t := tap.Wrap(link, tap.Options{
		OnRecord:          r.Log.Record,
		OnSegment:         r.Log.Segment,
		Timeout:           c.Tap.Timeout,
		DialTimeout:       c.Egress.DialTimeout,
		HalfOpen:          c.Limits.HalfOpen,
		HalfOpenPerSource: c.Limits.HalfOpenPerSource,
		TCPFlows:          c.Limits.TCPFlows,
		Sources:           r.Sources,
	})
	dialer := dial.New(dial.Options{Mark: r.Mark, Policy: policy(c.Egress), Redirect: r.Redirect})
	s, err := stack.New(t, dialer, stack.Options{
		DialTimeout:       c.Egress.DialTimeout,
		HandshakeTimeout:  c.Tap.Timeout,
		TCPFlows:          c.Limits.TCPFlows,
		UDPFlows:          c.Limits.UDPFlows,
		HalfOpen:          c.Limits.HalfOpen,
		HalfOpenPerSource: c.Limits.HalfOpenPerSource,
		Clients:           addrs(c.TUN.Addresses),
		DialDone:          func(d stack.Dial) { t.DialDone(attempt(d)) },
		Abandoned: func(client, server netip.AddrPort, isn uint32) {
			t.Forget(tap.Key{Client: client, Server: server, ISN: isn})
		},
		Log: r.Logger,
	})
	if err != nil {
		_ = link.Close()
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error { return t.Run(ctx) })
	err = g.Wait()
	t.Flush()
	return err
}

// attempt translates what the stack reports of a dial into what the tap records of it.
func attempt(d stack.Dial) (tap.Key, tap.DialResult) {
	return tap.Key{Client: d.Client, Server: d.Server, ISN: d.ISN}, tap.DialResult{
		Upstream: tap.Upstream{Local: d.Local, Remote: d.Remote, DialTime: d.Duration, Error: d.Errno},
		Denied:   d.Answer == stack.Denied,
		Silent:   d.Answer == stack.Silent,
	}
}

// policy resolves the words of the deny list.
func policy(e config.Egress) dial.Policy {
	p := dial.Policy{Deny: prefixes(e.Deny), Allow: prefixes(e.Allow)}
	if e.Deny.Has(config.Host) {
		p.Host = new(dial.HostAddrs)
	}
	return p
}

func prefixes(set config.AddressSet) []netip.Prefix {
	all := append([]netip.Prefix(nil), set.Prefixes...)
	for word, named := range map[string][]netip.Prefix{
		config.Loopback: dial.Loopback, config.LinkLocal: dial.LinkLocal, config.Multicast: dial.Multicast,
	} {
		if set.Has(word) {
			all = append(all, named...)
		}
	}
	return all
}

func addrs(ps []netip.Prefix) []netip.Addr {
	var as []netip.Addr
	for _, p := range ps {
		as = append(as, p.Addr())
	}
	return as
}

// LimitProcs keeps half of the processors free of Go: the kernel needs them to carry packets. With more runnable
// goroutines than work for them, each wake-up would cost an interrupt to another processor. It changes nothing where
// the operator has set GOMAXPROCS.
func LimitProcs(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
}
