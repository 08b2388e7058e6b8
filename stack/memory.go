//go:build linux

package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// memory is the budget that all connections share: the bytes that they hold in netstack, in our own
// buffers and in the kernel's sockets. A [payer] charges each of them, and each source of
// connections has a share of it. A connection is charged
//
//   - connMemory and its SYN for as long as it is in the table,
//   - a room: the bytes that its buffers are likely to hold, or those found in them when that is
//     more (weigh.go),
//   - and, for each direction that has moved much, a large buffer (buffer.go).
type memory struct {
	limit atomic.Int64
	all   account

	mu      sync.Mutex // guards sources and their users
	sources map[netip.Prefix]*account
}

// connMemory is the bytes that an idle connection takes: its conn, netstack's endpoint with its
// timers, the tap's entry, and the kernel's socket, file and epoll item. Measured; it is 11 KiB.
const connMemory = 11 << 10

// account is what all connections are charged for, or those of one source.
type account struct {
	limit  *atomic.Int64 // of all accounts
	bounds *bounds
	source netip.Prefix // of connections; the zero value is this host, or all
	held   atomic.Int64 // charged
	lent   atomic.Int64 // of that, to connections that move
	users  int          // payers with this account
}

// bounds are the limits of an account, in 64ths of memory.limit.
type bounds struct {
	room   int64 // for new connections
	roomy  int64 // above it new connections begin with tight buffers
	scarce int64 // above it quiet connections give back their small buffers
	free   int64 // below it the kernel sizes the buffers of host sockets by itself
	loans  int64 // for connections that move
}

// An address has a quarter of what new connections may take, the IPv6 network that one machine may
// have to itself a half, and the programs of this host all but an eighth. An eighth of the whole is
// for connections that move, whatever the others hold.
var (
	boundsOfAll     = bounds{room: 56, roomy: 32, scarce: 16, free: 8, loans: 32}
	boundsOfHost    = bounds{room: 49, roomy: 32, scarce: 16, free: 8, loans: 28}
	boundsOfNetwork = bounds{room: 28, roomy: 20, scarce: 14, free: 4, loans: 14}
	boundsOfAddress = bounds{room: 14, roomy: 10, scarce: 7, free: 2, loans: 7}
)

func (m *memory) init(limit int64) {
	m.limit.Store(limit)
	m.all = account{limit: &m.limit, bounds: &boundsOfAll}
	m.sources = make(map[netip.Prefix]*account)
}

// of returns n 64ths of the limit, in bytes.
func (a *account) of(n int64) int64 { return a.limit.Load() / 64 * n }

// above reports whether more than n 64ths of the limit are charged.
func (a *account) above(n int64) bool { return a.held.Load() > a.of(n) }

// payer charges a connection to all accounts that it belongs to: that of all connections first, and
// those of its sources.
type payer struct {
	accounts [3]*account
	n        int
}

// payer returns one for a connection of a client, to be left when it is over.
func (m *memory) payer(client netip.Addr, isLocal bool) payer {
	p := payer{accounts: [3]*account{&m.all}, n: 1}
	m.mu.Lock()
	defer m.mu.Unlock()
	join := func(source netip.Prefix, b *bounds) {
		a := m.sources[source]
		if a == nil {
			a = &account{limit: &m.limit, bounds: b, source: source}
			m.sources[source] = a
		}
		a.users++
		p.accounts[p.n] = a
		p.n++
	}
	if isLocal {
		join(netip.Prefix{}, &boundsOfHost)
		return p
	}
	sources, n := sourcesOf(client, isLocal)
	for i, source := range sources[:n] {
		join(source, []*bounds{&boundsOfAddress, &boundsOfNetwork}[i])
	}
	return p
}

// leave ends a payer, which charges nothing any more.
func (m *memory) leave(p *payer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range p.all()[1:] {
		if a.users--; a.users == 0 {
			delete(m.sources, a.source)
		}
	}
}

func (p *payer) all() []*account { return p.accounts[:p.n] }

// charge charges n bytes, which may be below zero, whatever the bounds are.
func (p *payer) charge(n int64) {
	for _, a := range p.all() {
		a.held.Add(n)
	}
}

// admit charges n bytes for a new connection, unless an account is full; that is returned.
func (p *payer) admit(n int64) (full *account) {
	return p.take(n, func(b *bounds) int64 { return b.room })
}

// take charges n bytes, unless an account would hold more than its bound; that is returned.
func (p *payer) take(n int64, bound func(*bounds) int64) (full *account) {
	p.charge(n)
	for _, a := range p.all() {
		if a.above(bound(a.bounds)) {
			full = a // the last is the narrowest
		}
	}
	if full != nil {
		p.charge(-n)
	}
	return full
}

// lend charges n bytes for a connection that moves, if all accounts have room and loans left, or if
// each has lent less than a sixteenth, or several, of what it may hold.
func (p *payer) lend(n, sixteenths int64) bool {
	p.charge(n)
	room, reserve := true, true
	for i, a := range p.all() {
		lent, most := a.lent.Add(n), a.bounds.room
		if i == 0 {
			most = 64
		}
		room = room && a.held.Load() <= a.of(most) && lent <= a.of(a.bounds.loans)
		reserve = reserve && lent <= a.of(most)/16*sixteenths
	}
	if room || reserve {
		return true
	}
	p.takeBack(n)
	return false
}

// takeBack ends a loan.
func (p *payer) takeBack(n int64) {
	p.charge(-n)
	p.endLoan(n)
}

// endLoan has n bytes stay charged that are lent no more.
func (p *payer) endLoan(n int64) {
	for _, a := range p.all() {
		a.lent.Add(-n)
	}
}

// cramped reports whether new connections begin with tight buffers.
func (p *payer) cramped() bool { return p.above(func(b *bounds) int64 { return b.roomy }) }

// scarce reports whether quiet connections give back what they do not need.
func (p *payer) scarce() bool { return p.above(func(b *bounds) int64 { return b.scarce }) }

// free reports whether the kernel may size the buffers of host sockets.
func (p *payer) free() bool { return !p.above(func(b *bounds) int64 { return b.free }) }

func (p *payer) above(bound func(*bounds) int64) bool {
	for _, a := range p.all() {
		if a.above(bound(a.bounds)) {
			return true
		}
	}
	return false
}

// scarce reports whether quiet connections of any source are to be found soon.
func (m *memory) scarce() bool {
	if m.all.above(m.all.bounds.scarce) {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.sources {
		if a.above(a.bounds.scarce) {
			return true
		}
	}
	return false
}

// fullOf returns the counter of SYNs for which an account had no room.
func (s *Stack) fullOf(full *account) *atomic.Uint64 {
	if full == &s.memory.all {
		return &s.stats.DropMemory
	}
	return &s.stats.DropMemoryPerSource
}

// Take charges a client for n bytes besides its connections, such as a socket for its datagrams, or
// returns the account that is full. Give ends the charge.
func (m *memory) Take(client netip.Addr, isLocal bool, n int64) (full *account) {
	p := m.payer(client, isLocal)
	if full = p.admit(n); full != nil {
		m.leave(&p)
	}
	return full
}

// Give ends a charge of Take, which had the same arguments.
func (m *memory) Give(client netip.Addr, isLocal bool, n int64) {
	p := m.payer(client, isLocal)
	p.charge(-n)
	m.leave(&p)
	m.leave(&p) // as Take's payer
}
