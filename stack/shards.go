//go:build linux

package stack

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"syntap/stack/affinity"
	"syntap/stack/budget"
	"syntap/stack/clientpath"
	"syntap/stack/nat"
	"syntap/stack/netstack"
	"syntap/stack/sched"
	"syntap/tun"
	"syntap/tun/packet"
)

// shared is the state that the shards of a stack share: counters, bounds, and the home of each
// flow. A packet of an open flow touches only the counters.
type shared struct {
	shards  []*Stack // constant once the stack is made
	stats   Stats
	memory  *budget.Budget
	waiting halfOpen
	sockets *affinity.Table[connKey] // by the addresses of connections' host sockets
	probes  clientpath.Probes
	asked   clientpath.Questions

	engines []*engine // constant; see engineOf

	firsts      atomic.Int32 // first writes that were looked at, since the first shard looked for stalls
	markedFlows atomic.Int64 // whose client has marked its last segment; changed with Stack.mu held

	// Without further shards nil.
	homes *affinity.Table[connKey] // of connections, handshakes too
	nats  *nat.Shards

	fragments maphash.Seed
	stopped   sync.WaitGroup // shards that have connections
	reading   sync.WaitGroup // shards that may hand frames to others
}

// engine runs shards.
type engine struct {
	sched  *sched.Scheduler
	busy   *sched.BusyPoll
	poller *sched.Poller
}

func newShared(shards int, o Options) (*shared, error) {
	all := &shared{
		memory: budget.New(o.Memory), sockets: affinity.New[connKey](), fragments: maphash.MakeSeed(),
	}
	all.waiting.bySource = make(map[netip.Prefix]int)
	n := min(shards, o.Workers)
	for range n {
		e := &engine{sched: sched.New(o.Workers / n)}
		e.busy = sched.NewBusyPoll(e.sched, o.BusyPoll)
		var err error
		if e.poller, err = sched.NewPoller(e.busy); err != nil {
			return nil, errors.Join(err, all.closePollers())
		}
		all.engines = append(all.engines, e)
	}
	if shards > 1 {
		all.homes, all.nats = affinity.New[connKey](), nat.NewShards(shards)
	}
	return all, nil
}

// engineOf returns the engine of a shard. If there are more shards than Options.Workers, some share
// one: more workers would share the processors and end each other's turns, and short turns wake
// clients more often. Each of several pollers on a processor would find a few events at a time.
func (all *shared) engineOf(shard int) *engine {
	return all.engines[shard%len(all.engines)]
}

func (all *shared) closePollers() (err error) {
	for _, e := range all.engines {
		err = errors.Join(err, e.poller.Close())
	}
	return err
}

// newPaths returns a shard's memory of paths to clients. All shards learn an MTU that a router
// reports; the first counts it.
func (s *Stack) newPaths() *clientpath.Paths {
	learned := new(atomic.Uint64)
	if s.shard == 0 {
		learned = &s.stats.ClientMTUs
	}
	return clientpath.New(s.link.MTU(), s.o.ClientMTU, learned, &s.stats.EvictedPaths)
}

// takeHome returns the home of a connection, and makes s the home if there is none. giveHome must
// follow.
func (s *Stack) takeHome(key connKey) *Stack {
	if s.homes == nil {
		return s
	}
	return s.shards[s.homes.Take(key, s.shard)]
}

func (s *Stack) giveHome(key connKey) {
	if s.homes != nil {
		s.homes.Give(key)
	}
}

// home returns the home of a connection; s if there is none.
func (s *Stack) home(key connKey) *Stack {
	if s.homes != nil {
		if i, ok := s.homes.Of(key); ok {
			return s.shards[i]
		}
	}
	return s
}

// elsewhere returns the netstack of a connection's home if that is another shard, else nil.
func (s *Stack) elsewhere(client, server netip.AddrPort) *netstack.Stack {
	if home := s.home(connKey{client: client, server: server}); home != s {
		return home.net
	}
	return nil
}

// passSYN hands a SYN that this shard has read to the connection's home.
func (s *Stack) passSYN(home *Stack, key connKey, f *tun.Frame) {
	if home.outboundSYN(key, f) {
		home.net.DeliverCopy(slices.Concat(f.Head, f.Body))
	}
}

// netFor returns the netstack for a frame that is no plain packet. One shard reassembles all
// fragments between two addresses, whichever queues they come by: our own packets between these
// addresses may change the kernel's choice of queue between two fragments.
func (s *Stack) netFor(h *packet.Headers, head []byte) *netstack.Stack {
	if s.homes == nil || h.Plain() {
		return s.net
	}
	src, dst := h.Addrs(head)
	var sum maphash.Hash
	sum.SetSeed(s.fragments)
	_, _ = sum.Write(src)
	_, _ = sum.Write(dst)
	return s.shards[sum.Sum64()%uint64(len(s.shards))].net
}
