package clientpath

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"syntap/tun/packet"
)

// Paths remembers the paths to clients.
type Paths struct {
	link             int                         // MTU of the link
	route            func(netip.Addr) packet.MTU // of the host; nil = none
	learned, evicted *atomic.Uint64

	mu    sync.Mutex // guards known; innermost
	known map[netip.Addr]path
}

// path is the path to one client, as far as it is known.
type path struct {
	route   int // 0 = no route
	asked   time.Time
	learned int // 0 = nothing
	heard   time.Time
}

const (
	maxPaths   = 4096             // clients that are remembered
	routeAge   = 10 * time.Second // an administrator may change a link's MTU
	learnedAge = 10 * time.Minute // RFC 1191 §6.3, RFC 8201 §4
)

// Bounds of a path MTU that an ICMP error can bring about: Linux's net.ipv4.route.min_pmtu, and
// the MTU that RFC 8200 §5 asks of every link.
const (
	minPathMTU4 = 552
	minPathMTU6 = 1280
)

const largestPacket = 40 + 1<<16 - 1

// New returns the paths behind a link with an MTU. route returns the MTU of the host's route to a
// client, 0 if there is none. If nil, all clients are at the other end of the link, which takes
// packets of any size. learned counts MTUs that routers have reported, evicted the clients
// forgotten for others.
func New(link int, route func(netip.Addr) packet.MTU, learned, evicted *atomic.Uint64) *Paths {
	return &Paths{
		link: link, route: route, learned: learned, evicted: evicted,
		known: make(map[netip.Addr]path),
	}
}

// MTU returns the size of the largest packet that is known to reach a client in one piece. It may
// exceed the link's: a client on this host takes packets of any size.
func (p *Paths) MTU(client netip.Addr) int {
	if p.route == nil && p.empty() {
		return largestPacket
	}
	now := time.Now()
	p.mu.Lock()
	known := p.known[client]
	p.mu.Unlock()
	if p.route != nil && now.Sub(known.asked) >= routeAge {
		known.route, known.asked = int(p.route(client)), now // it may take some system calls
		p.update(client, func(to *path) { to.route, to.asked = known.route, known.asked })
	}
	mtu := known.route
	switch {
	case p.route == nil:
		mtu = largestPacket
	case mtu == 0 && client.Is6():
		mtu = minPathMTU6
	case mtu == 0:
		mtu = p.link
	}
	if known.learned != 0 && now.Sub(known.heard) < learnedAge {
		mtu = min(mtu, known.learned)
	}
	return mtu
}

// SegmentMTU is MTU for TCP, whose packets keep to the link's.
func (p *Paths) SegmentMTU(client netip.Addr) int { return min(p.link, p.MTU(client)) }

func (p *Paths) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.known) == 0
}

// Learn stores the path MTU to a client that a router has reported.
func (p *Paths) Learn(client netip.Addr, mtu int) {
	if mtu < p.MTU(client) {
		p.learned.Add(1)
	}
	p.update(client, func(to *path) {
		now := time.Now()
		if to.learned == 0 || mtu <= to.learned || now.Sub(to.heard) >= learnedAge {
			to.learned, to.heard = mtu, now
		}
	})
}

// update changes the path of a client. In a full table it replaces another client, whose path is
// then asked or learned again.
func (p *Paths) update(client netip.Addr, change func(*path)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[client]
	if !ok && len(p.known) >= maxPaths {
		p.evict()
	}
	change(&known)
	p.known[client] = known
}

// evict removes a client, preferably one without a learned MTU. mu is held.
func (p *Paths) evict() {
	const tries = 16
	var victim netip.Addr
	n := 0
	for client, known := range p.known { // in random order
		victim = client
		if n++; n == tries || known.learned == 0 {
			break
		}
	}
	delete(p.known, victim)
	p.evicted.Add(1)
}
