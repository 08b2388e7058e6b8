package budget

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// Budget is a number of bytes that all connections share. Each source of connections has a share of
// it.
type Budget struct {
	limit atomic.Int64
	all   Account

	mu      sync.Mutex // guards sources and their users
	sources map[netip.Prefix]*Account
}

// Account counts the bytes charged to all connections, or to those of one source.
type Account struct {
	limit  *atomic.Int64 // Budget.limit
	bounds *bounds
	source netip.Prefix // of connections; the zero value is this host, or all
	held   atomic.Int64 // charged
	lent   atomic.Int64 // of that, to connections that move
	users  int          // payers with this account
}

// bounds are the limits of an account, in 64ths of Budget.limit.
type bounds struct {
	room   int64 // for new connections
	lend   int64 // above it only the reserve is lent
	roomy  int64 // above it connections begin with tight buffers, and keep them until they have moved much
	scarce int64 // above it quiet connections give back their small buffers
	loans  int64 // for connections that move
}

// Of the bytes for new connections an address may use a half, an IPv6 /64, which one machine may
// have to itself, 36 of 56, and the programs of this host all but an eighth. An eighth of the whole
// is reserved for connections that move much.
//
// A connection that stands still keeps the bytes that its buffers had room for. So an address gets
// a quarter of its room at most for small and large buffers, the host's programs 28 of 49: the rest
// is for thousands of connections with tight buffers, which take some 20 KiB each. An address that
// has used its room leaves all others theirs, without tight buffers.
var (
	boundsOfAll     = bounds{room: 56, lend: 64, roomy: 36, scarce: 32, loans: 32}
	boundsOfHost    = bounds{room: 49, lend: 28, roomy: 24, scarce: 16, loans: 28}
	boundsOfNetwork = bounds{room: 36, lend: 36, roomy: 34, scarce: 34, loans: 14}
	boundsOfAddress = bounds{room: 28, lend: 7, roomy: 5, scarce: 5, loans: 7}
)

// New returns a budget of limit bytes.
func New(limit int64) *Budget {
	m := &Budget{sources: make(map[netip.Prefix]*Account)}
	m.limit.Store(limit)
	m.all = Account{limit: &m.limit, bounds: &boundsOfAll}
	return m
}

// SetLimit changes the limit, in bytes. Charges beyond it stay.
func (m *Budget) SetLimit(n int64) { m.limit.Store(n) }

// Limit returns the limit in bytes.
func (m *Budget) Limit() int64 { return m.limit.Load() }

// Charged returns the bytes that all connections are charged for.
func (m *Budget) Charged() int64 { return m.all.held.Load() }

// Lent returns the bytes of these that are lent to connections that move.
func (m *Budget) Lent() int64 { return m.all.lent.Load() }

// OfSource reports whether an account is that of a source, not of all connections.
func (a *Account) OfSource() bool { return a.bounds != &boundsOfAll }

// of returns n 64ths of the limit, in bytes.
func (a *Account) of(n int64) int64 { return a.limit.Load() / 64 * n }

// above reports whether more than n 64ths of the limit are charged.
func (a *Account) above(n int64) bool { return a.held.Load() > a.of(n) }

// Payer charges a connection to all accounts that it belongs to: first that of all connections,
// then those of its sources.
type Payer struct {
	accounts [3]*Account // nil behind the last
}

// Payer returns the payer for a connection of a client. Leave must follow when the connection ends.
// isLocal means a program of this host.
func (m *Budget) Payer(client netip.Addr, isLocal bool) Payer {
	p := Payer{accounts: [3]*Account{&m.all}}
	joined := 1
	m.mu.Lock()
	defer m.mu.Unlock()
	join := func(source netip.Prefix, b *bounds) {
		a := m.sources[source]
		if a == nil {
			a = &Account{limit: &m.limit, bounds: b, source: source}
			m.sources[source] = a
		}
		a.users++
		p.accounts[joined] = a
		joined++
	}
	if isLocal {
		join(netip.Prefix{}, &boundsOfHost)
		return p
	}
	sources, n := SourcesOf(client, isLocal)
	for i, source := range sources[:n] {
		join(source, []*bounds{&boundsOfAddress, &boundsOfNetwork}[i])
	}
	return p
}

// Leave ends a payer, which must have no charges left.
func (m *Budget) Leave(p *Payer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range p.all()[1:] {
		if a.users--; a.users == 0 {
			delete(m.sources, a.source)
		}
	}
}

func (p *Payer) all() []*Account {
	n := len(p.accounts)
	for n > 0 && p.accounts[n-1] == nil {
		n--
	}
	return p.accounts[:n]
}

// Charge charges n bytes, which may be negative, without regard to the bounds.
func (p *Payer) Charge(n int64) {
	for _, a := range p.all() {
		a.held.Add(n)
	}
}

// Admit charges n bytes for a new connection, or returns the account that is full.
func (p *Payer) Admit(n int64) (full *Account) {
	return p.take(n, func(b *bounds) int64 { return b.room })
}

// AdmitRoomy is Admit for buffers of the usual size: it also fails if Cramped is true or would
// become true.
func (p *Payer) AdmitRoomy(n int64) (full *Account) {
	return p.take(n, func(b *bounds) int64 { return b.roomy })
}

// take charges n bytes, or returns the account that would exceed its bound.
func (p *Payer) take(n int64, bound func(*bounds) int64) (full *Account) {
	p.Charge(n)
	for _, a := range p.all() {
		if a.above(bound(a.bounds)) {
			full = a // the last is the narrowest
		}
	}
	if full != nil {
		p.Charge(-n)
	}
	return full
}

// Lend charges n bytes for a connection that moves much, if all accounts have room and loans left,
// or if each has lent less than the given sixteenths of its bound.
func (p *Payer) Lend(n, sixteenths int64) bool {
	p.Charge(n)
	room, reserve := true, true
	for _, a := range p.all() {
		lent := a.lent.Add(n)
		room = room && a.held.Load() <= a.of(a.bounds.lend) && lent <= a.of(a.bounds.loans)
		reserve = reserve && lent <= a.of(a.bounds.lend)/16*sixteenths
	}
	if room || reserve {
		return true
	}
	p.TakeBack(n)
	return false
}

// TakeBack ends a loan.
func (p *Payer) TakeBack(n int64) {
	p.Charge(-n)
	p.EndLoan(n)
}

// EndLoan ends a loan of n bytes, which stay charged.
func (p *Payer) EndLoan(n int64) {
	for _, a := range p.all() {
		a.lent.Add(-n)
	}
}

// Cramped reports whether new connections begin with tight buffers.
func (p *Payer) Cramped() bool { return p.above(func(b *bounds) int64 { return b.roomy }) }

// Scarce reports whether quiet connections must give back spare memory.
func (p *Payer) Scarce() bool { return p.above(func(b *bounds) int64 { return b.scarce }) }

func (p *Payer) above(bound func(*bounds) int64) bool {
	for _, a := range p.all() {
		if a.above(bound(a.bounds)) {
			return true
		}
	}
	return false
}

// Scarce reports whether memory is scarce for any source, so that quiet connections must be found
// soon. The packet path calls it; while all sources together hold less than one may, it costs two
// loads.
func (m *Budget) Scarce() bool {
	if m.all.above(m.all.bounds.scarce) {
		return true
	}
	if !m.all.above(boundsOfAddress.scarce) {
		return false
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

// Take charges a client for n bytes besides its connections, such as a socket for its datagrams, or
// returns the account that is full. Give ends the charge.
func (m *Budget) Take(client netip.Addr, isLocal bool, n int64) (full *Account) {
	p := m.Payer(client, isLocal)
	if full = p.Admit(n); full != nil {
		m.Leave(&p)
	}
	return full
}

// Give ends a charge of Take, which had the same arguments.
func (m *Budget) Give(client netip.Addr, isLocal bool, n int64) {
	p := m.Payer(client, isLocal)
	p.Charge(-n)
	m.Leave(&p)
	m.Leave(&p) // as Take's payer
}

// SourcesOf returns the sources that a client counts with: its address and, of a client behind this
// host, the IPv6 network that one machine may have to itself.
func SourcesOf(client netip.Addr, isLocal bool) (all [2]netip.Prefix, n int) {
	all[0] = netip.PrefixFrom(client, client.BitLen())
	if client.Is4() || isLocal {
		return all, 1
	}
	all[1], _ = client.Prefix(64) // fails for no IPv6 address
	return all, 2
}
