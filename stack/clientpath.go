//go:build linux

package stack

import (
	"net/netip"
	"sync"
	"time"

	"syntap/tun/packet"
)

// clientPaths tells how large packets may be on their way from the link to a client: as large as
// the host's route to it takes, and as a router behind that has said (RFC 1191, RFC 8201).
type clientPaths struct {
	link  int                         // MTU of the link
	route func(netip.Addr) packet.MTU // Options.ClientMTU
	stats *Stats

	mu    sync.Mutex // guards the rest; may be taken with netstack's locks held
	known map[netip.Addr]clientPath
}

// clientPath is the knowledge of the way to one client.
type clientPath struct {
	route   int // 0 = no route
	asked   time.Time
	learned int // 0 = nothing
	heard   time.Time
}

const (
	clientPathsMax = 4096             // clients that are remembered
	routeAge       = 10 * time.Second // an administrator may change a link's MTU
	learnedAge     = 10 * time.Minute // RFC 1191 §6.3, RFC 8201 §4
)

// Bounds of a path MTU that an ICMP error can bring about: Linux's net.ipv4.route.min_pmtu, and
// the MTU that RFC 8200 §5 asks of every link.
const (
	minPathMTU4 = 552
	minPathMTU6 = 1280
)

const largestPacket = 40 + 1<<16 - 1

func newClientPaths(link int, route func(netip.Addr) packet.MTU, stats *Stats) *clientPaths {
	return &clientPaths{link: link, route: route, stats: stats, known: make(map[netip.Addr]clientPath)}
}

// mtu returns the size of the largest packet that is known to reach a client in one piece. It may
// exceed the link's: a client on this host takes packets of any size.
func (p *clientPaths) mtu(client netip.Addr) int {
	if p.route == nil && p.empty() {
		return largestPacket
	}
	now := time.Now()
	p.mu.Lock()
	path := p.known[client]
	p.mu.Unlock()
	if p.route != nil && now.Sub(path.asked) >= routeAge {
		path.route, path.asked = int(p.route(client)), now // it may take some system calls
		p.update(client, func(to *clientPath) { to.route, to.asked = path.route, path.asked })
	}
	mtu := path.route
	switch {
	case p.route == nil:
		mtu = largestPacket
	case mtu == 0 && client.Is6():
		mtu = minPathMTU6
	case mtu == 0:
		mtu = p.link
	}
	if path.learned != 0 && now.Sub(path.heard) < learnedAge {
		mtu = min(mtu, path.learned)
	}
	return mtu
}

// segmentMTU is mtu for TCP, whose packets keep to the link's.
func (p *clientPaths) segmentMTU(client netip.Addr) int { return min(p.link, p.mtu(client)) }

func (p *clientPaths) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.known) == 0
}

// learn takes the MTU of a link on the way to a client, from a router there.
func (p *clientPaths) learn(client netip.Addr, mtu int) {
	if mtu < p.mtu(client) {
		p.stats.ClientMTUs.Add(1)
	}
	p.update(client, func(path *clientPath) {
		now := time.Now()
		if path.learned == 0 || mtu <= path.learned || now.Sub(path.heard) >= learnedAge {
			path.learned, path.heard = mtu, now
		}
	})
}

// update changes the knowledge of a client. In a full table another one's place is taken; of that
// client it is asked, or learned, anew.
func (p *clientPaths) update(client netip.Addr, change func(*clientPath)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path, ok := p.known[client]
	if !ok && len(p.known) >= clientPathsMax {
		p.evict()
	}
	change(&path)
	p.known[client] = path
}

// evict removes a client of which nothing has been learned, if it meets one soon. mu is held.
func (p *clientPaths) evict() {
	const tries = 16
	var victim netip.Addr
	n := 0
	for client, path := range p.known { // in random order
		victim = client
		if n++; n == tries || path.learned == 0 {
			break
		}
	}
	delete(p.known, victim)
	p.stats.EvictedPaths.Add(1)
}
