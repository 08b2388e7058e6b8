//go:build linux

package stack

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"syntap/stack/budget"
	"syntap/stack/clientpath"
	"syntap/stack/homes"
	"syntap/stack/nat"
	"syntap/stack/netstack"
	"syntap/tun"
	"syntap/tun/packet"
)

// shared is what the shards of a stack have in common: what is counted and bounded for all of them,
// and who has which flow. No packet of an open flow touches more of it than counters.
type shared struct {
	shards  []*Stack // constant once the stack is made
	stats   Stats
	memory  *budget.Budget
	waiting halfOpen
	sockets *homes.Table[connKey] // addresses of the host sockets of connections
	probes  clientpath.Probes

	markedFlows atomic.Int64 // whose client has marked its last segment; changed with Stack.mu held

	// Without further shards nil.
	homes *homes.Table[connKey] // of connections, handshakes too
	nats  *nat.Shards

	fragments maphash.Seed
	stopped   sync.WaitGroup // shards that have connections
	reading   sync.WaitGroup // shards that may give others frames
}

func newShared(shards int, memory int64) *shared {
	all := &shared{
		memory: budget.New(memory), sockets: homes.New[connKey](), fragments: maphash.MakeSeed(),
	}
	all.waiting.bySource = make(map[netip.Prefix]int)
	if shards > 1 {
		all.homes, all.nats = homes.New[connKey](), nat.NewShards(shards)
	}
	return all
}

// newPaths returns the memory of a shard for ways to clients. An MTU that a router says is learned
// by all shards, and counted by the first.
func (s *Stack) newPaths() *clientpath.Paths {
	learned := new(atomic.Uint64)
	if s.shard == 0 {
		learned = &s.stats.ClientMTUs
	}
	return clientpath.New(s.link.MTU(), s.o.ClientMTU, learned, &s.stats.EvictedPaths)
}

// takeHome returns the shard that has a connection, or is to have it; that is s where it has none.
// giveHome follows.
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

// home returns the shard that has a connection; s where none has.
func (s *Stack) home(key connKey) *Stack {
	if s.homes != nil {
		if i, ok := s.homes.Of(key); ok {
			return s.shards[i]
		}
	}
	return s
}

// elsewhere returns the netstack of the other shard that has a connection, or nil.
func (s *Stack) elsewhere(client, server netip.AddrPort) *netstack.Stack {
	if home := s.home(connKey{client: client, server: server}); home != s {
		return home.net
	}
	return nil
}

// passSYN has another shard, which has a connection or is about to, take a SYN that this one has
// read.
func (s *Stack) passSYN(home *Stack, key connKey, f *tun.Frame) {
	if home.outboundSYN(key, f) {
		home.net.DeliverCopy(slices.Concat(f.Head, f.Body))
	}
}

// netFor returns the netstack that takes a frame which is no plain packet. Fragments are put
// together by one shard, whichever queues they come by: packets of ours between the same addresses
// may change the kernel's choice between two of them.
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
