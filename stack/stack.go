//go:build linux

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"syntap/stack/clientpath"
	"syntap/stack/dial"
	"syntap/stack/linger"
	"syntap/stack/nat"
	"syntap/stack/netstack"
	"syntap/stack/peek"
	"syntap/tun"
)

// Stack terminates the connections that come out of a link and carries them on by sockets of the
// host. It is the shard of the link's first queue, and its methods act on all shards.
type Stack struct {
	*shared
	*engine
	shard int // place in shared.shards

	o      Options // SetLimits changes some fields, which mu guards
	link   tun.Link
	dialer *dial.Dialer

	net       *netstack.Stack
	nat       *nat.NAT
	lingering *linger.Sockets

	paths *clientpath.Paths

	lastMarked connKey // the connection of the last marked segment; the read loop's
	lastDSCP   byte    // of that segment

	readBuffers sync.Pool // of *[maxRead]byte
	gathers     sync.Pool // of *peek.Views
	chunks      sync.Pool // of *bytes.Reader
	swept       []*conn   // the sweeper's, between uses empty
	stood       standstill
	questions   int // to clients, since the last look for stalls; the sweeper's

	mu       sync.Mutex        // guards the fields below and the handshake of every connection
	conns    map[connKey]*conn // handshakes too
	stopping bool              // no new connections
	live     sync.WaitGroup    // one for each connection; added to with mu held
}

// New builds a stack over link, with a shard for each of its queues. Run serves it and closes the
// link.
func New(link tun.Link, dialer *dial.Dialer, o Options) (*Stack, error) {
	o.setDefaults()
	if o.Host == nil {
		o.Host = new(dial.HostAddrs)
	}
	if o.Local == nil {
		o.Local = o.Host.Contains
	}
	queues := tun.Queues(link)
	all, err := newShared(len(queues), o)
	if err != nil {
		return nil, err
	}
	for _, queue := range queues {
		if err := newShard(all, queue, dialer, o); err != nil {
			return nil, errors.Join(err, all.closePollers())
		}
	}
	return all.shards[0], nil
}

// newShard adds a shard over a queue.
func newShard(all *shared, link tun.Link, dialer *dial.Dialer, o Options) error {
	s := &Stack{
		shared: all, engine: all.engineOf(len(all.shards)), shard: len(all.shards),
		o: o, link: link, dialer: dialer, conns: make(map[connKey]*conn),
	}
	s.lingering = linger.New(s.memory)
	s.readBuffers.New = func() any { return new([maxRead]byte) }
	s.gathers.New = func() any { return new(peek.Views) }
	s.chunks.New = func() any { return new(bytes.Reader) }
	s.paths = s.newPaths()
	s.nat = nat.New(routerOfNAT{s}, s.poller, dialer, &s.stats.Datagrams, s.natOptions())
	if idle, ok := link.(tun.IdleNotifier); ok && idle.NotifyIdle(s.nat.Flush) {
		s.nat.JoinBursts()
	}
	net := netstack.Options{
		Buffers: netstackBuffers(),
		Rewrite: func(headers []byte) { s.paths.LowerMSS(headers, true) },
		Refused: func() { s.stats.InboundErrors.Add(1) },
	}
	if s.homes != nil {
		net.Elsewhere = s.elsewhere
	}
	var err error
	if s.net, err = netstack.New(link, net); err != nil {
		return err
	}
	s.net.HandleTCP(s.accept, s.beginsTight)
	s.net.HandleOthers(s.routeReassembled)
	all.shards = append(all.shards, s)
	return nil
}

// SetLimits applies the timeouts, the keepalive, the limits and BusyPoll of o to connections that
// begin from now on. A limit below the present number ends no connection.
func (s *Stack) SetLimits(o Options) {
	o.setDefaults()
	s.memory.SetLimit(o.Memory)
	for _, s := range s.shards {
		s.mu.Lock()
		s.o.DialTimeout, s.o.HandshakeTimeout, s.o.Keepalive = o.DialTimeout, o.HandshakeTimeout, o.Keepalive
		s.o.TCPFlows, s.o.HalfOpen, s.o.HalfOpenPerSource = o.TCPFlows, o.HalfOpen, o.HalfOpenPerSource
		s.mu.Unlock()
		s.nat.SetLimits(o.Datagrams)
	}
	for _, e := range s.engines {
		e.busy.SetLimit(o.BusyPoll)
	}
}

// Stats returns the stack's live counters.
func (s *Stack) Stats() *Stats { return &s.stats }

// Run routes until ctx ends or the link fails; only the latter is an error. When it returns, every
// connection has been reset on both sides, the link is closed and no goroutine is left.
func (s *Stack) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(s.shards))
	var all sync.WaitGroup
	s.stopped.Add(len(s.shards))
	s.reading.Add(len(s.shards))
	var working sync.WaitGroup
	for _, e := range s.engines {
		working.Go(e.sched.Run)
		working.Go(e.poller.Run)
	}
	for i, other := range s.shards[1:] {
		all.Go(func() { errs[i+1] = other.run(ctx, stop) })
	}
	errs[0] = s.run(ctx, stop)
	all.Wait()
	for _, e := range s.engines {
		e.sched.Close()
	}
	errs = append(errs, s.closePollers())
	working.Wait()
	s.o.Host.Close()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("route: %w", err)
	}
	return nil
}

// run routes the frames of a shard until ctx ends or its link fails, and ends the others by
// stopAll.
func (s *Stack) run(ctx context.Context, stopAll func()) error {
	var serving sync.WaitGroup
	serving.Go(s.nat.Serve)
	swept := make(chan struct{})
	serving.Go(func() { s.sweepUntil(swept) })
	stop := context.AfterFunc(ctx, func() {
		s.stopConns() // while the link still carries their RSTs
		s.stopped.Done()
		s.stopped.Wait() // closing the first queue closes all
		_ = s.link.Close()
	})
	err := s.readLoop()
	if stop() {
		s.stopConns()
		s.stopped.Done()
		stopAll()
	}
	s.live.Wait()
	close(swept)
	s.reading.Done()
	s.reading.Wait() // no shard gets frames from others any more
	closeErr := s.link.Close()
	s.nat.Close()
	s.net.Close()
	s.net.Wait()
	serving.Wait()
	s.lingering.Sweep(true)
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, closeErr)
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
