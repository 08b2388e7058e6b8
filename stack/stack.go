//go:build linux

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"syntap/stack/budget"
	"syntap/stack/clientpath"
	"syntap/stack/dial"
	"syntap/stack/linger"
	"syntap/stack/nat"
	"syntap/stack/netstack"
	"syntap/stack/peek"
	"syntap/stack/sched"
	"syntap/tun"
)

// Stack terminates the connections that come out of a link and carries them on by sockets of the
// host.
type Stack struct {
	o      Options // SetLimits changes some fields, which mu guards
	link   tun.Link
	dialer *dial.Dialer
	stats  Stats

	net       *netstack.Stack
	poller    *sched.Poller
	sched     *sched.Scheduler
	busy      *sched.BusyPoll
	nat       *nat.NAT
	memory    *budget.Budget
	lingering *linger.Sockets

	paths  *clientpath.Paths
	probes clientpath.Probes

	lastMarked  connKey      // the connection of the last marked segment; the read loop's
	lastDSCP    byte         // of that segment
	markedFlows atomic.Int64 // whose client has marked its last segment; changed with mu held

	readBuffers sync.Pool    // of *[maxRead]byte
	gathers     sync.Pool    // of *peek.Views
	chunks      sync.Pool    // of *bytes.Reader
	swept       []*conn      // the sweeper's, between uses empty
	firsts      atomic.Int32 // first writes of connections that were looked at, since the last look for stalls

	mu        sync.Mutex           // guards the fields below and the handshake of every connection
	conns     map[connKey]*conn    // handshakes too
	upstreams map[connKey]bool     // addresses of the host sockets of connections
	halfOpen  map[netip.Prefix]int // handshakes that wait for their client, see budget.SourcesOf
	stopping  bool                 // no new connections
	live      sync.WaitGroup       // one for each connection; added to with mu held
}

// New builds a stack over link. Run serves it and closes the link.
func New(link tun.Link, dialer *dial.Dialer, o Options) (*Stack, error) {
	o.setDefaults()
	if o.Host == nil {
		o.Host = new(dial.HostAddrs)
	}
	if o.Local == nil {
		o.Local = o.Host.Contains
	}
	s := &Stack{
		o: o, link: link, dialer: dialer, sched: sched.New(o.Workers),
		conns: make(map[connKey]*conn), upstreams: make(map[connKey]bool),
		halfOpen: make(map[netip.Prefix]int), memory: budget.New(o.Memory),
	}
	s.lingering = linger.New(s.memory)
	s.readBuffers.New = func() any { return new([maxRead]byte) }
	s.gathers.New = func() any { return new(peek.Views) }
	s.chunks.New = func() any { return new(bytes.Reader) }
	s.paths = clientpath.New(link.MTU(), o.ClientMTU, &s.stats.ClientMTUs, &s.stats.EvictedPaths)
	var err error
	s.busy = sched.NewBusyPoll(s.sched, o.BusyPoll)
	if s.poller, err = sched.NewPoller(s.busy); err != nil {
		return nil, err
	}
	s.nat = nat.New(routerOfNAT{s}, s.poller, dialer, &s.stats.Datagrams, s.natOptions())
	if idle, ok := link.(tun.IdleNotifier); ok && idle.NotifyIdle(s.nat.Flush) {
		s.nat.JoinBursts()
	}
	s.net, err = netstack.New(link, netstack.Options{
		Buffers: netstackBuffers(),
		Rewrite: func(headers []byte) { s.paths.LowerMSS(headers, true) },
		Refused: func() { s.stats.InboundErrors.Add(1) },
	})
	if err != nil {
		return nil, errors.Join(err, s.poller.Close())
	}
	s.net.HandleTCP(s.accept, s.beginsTight)
	s.net.HandleOthers(s.routeReassembled)
	return s, nil
}

// SetLimits puts the timeouts, the keepalive, the limits and BusyPoll of o in force, for
// connections that begin from now on. None ends because a limit is below the present number.
func (s *Stack) SetLimits(o Options) {
	o.setDefaults()
	s.mu.Lock()
	s.o.DialTimeout, s.o.HandshakeTimeout, s.o.Keepalive = o.DialTimeout, o.HandshakeTimeout, o.Keepalive
	s.o.TCPFlows, s.o.HalfOpen, s.o.HalfOpenPerSource = o.TCPFlows, o.HalfOpen, o.HalfOpenPerSource
	s.mu.Unlock()
	s.memory.SetLimit(o.Memory)
	s.busy.SetLimit(o.BusyPoll)
	s.nat.SetLimits(o.Datagrams)
}

// Stats returns the stack's counters, which go on counting.
func (s *Stack) Stats() *Stats { return &s.stats }

// Run routes until ctx ends or the link fails; only the latter is an error. When it returns, every
// connection has been reset on both sides, the link is closed and no goroutine is left.
func (s *Stack) Run(ctx context.Context) error {
	var serving sync.WaitGroup
	serving.Go(s.poller.Run)
	serving.Go(s.nat.Serve)
	swept := make(chan struct{})
	serving.Go(func() { s.sweepUntil(swept) })
	serving.Go(s.sched.Run)
	stop := context.AfterFunc(ctx, func() {
		s.stopConns() // while the link still carries their RSTs
		_ = s.link.Close()
	})
	err := s.readLoop()
	if stop() {
		s.stopConns()
	}
	s.live.Wait()
	close(swept)
	closeErr := s.link.Close()
	s.nat.Close()
	s.net.Close()
	s.net.Wait()
	closeErr = errors.Join(closeErr, s.poller.Close())
	s.sched.Close()
	serving.Wait()
	s.lingering.Sweep(true)
	s.o.Host.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if err = errors.Join(err, closeErr); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	return nil
}

// stopConns refuses new connections, resets the present ones and waits for their end.
func (s *Stack) stopConns() {
	s.mu.Lock()
	s.stopping = true
	var all []*conn
	for _, f := range s.conns {
		all = append(all, f)
	}
	s.mu.Unlock()
	for _, f := range all {
		f.end(stopped)
	}
	s.live.Wait()
}
