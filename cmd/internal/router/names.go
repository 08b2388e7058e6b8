//go:build linux

package router

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/web"
	"syntap/stack"
	"syntap/stack/names"
	"syntap/stack/virtual"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

// namer gives records the names by which clients know servers. A connection's name is that of the
// moment when its SYN passes; the table keeps it while the connection is open.
type namer struct {
	table     *names.Table
	virtual   *virtual.Table // the addresses that stand for names; nil = none do
	local     func(netip.Addr) bool
	neighbors *neighbors
	owners    bool                           // of local clients are looked for: without one a client has no names
	resolver  func(uid uint32) bool          // whether a user resolves names for this host's programs
	hosts     atomic.Pointer[hostfile.Hosts] // by which local clients know addresses besides; nil = none

	mu sync.Mutex // guards all below
	// Handshakes with a name, and the connections that come of them. When there are maxNamed, the
	// older map goes.
	handshakes, older map[flow.Key]*named
	flows             map[*flow.Datagram]names.Use
}

// named is a handshake whose server has a name.
type named struct {
	name     *record.Name
	use      names.Use
	recorded bool // its record is complete
	gone     bool // nothing of it is left in the stack
}

// maxNamed is how many handshakes are kept beside as many older ones. A connection that is older
// keeps its name in its records, but not in the table.
const maxNamed = 32768

func newNamer(local func(netip.Addr) bool, n *neighbors) *namer {
	return &namer{
		table: names.New(names.Limit), local: local, neighbors: n,
		resolver:   func(uint32) bool { return false },
		handshakes: make(map[flow.Key]*named), flows: make(map[*flow.Datagram]names.Use),
	}
}

// namer returns the namer of a router, nil where nothing ever shows names or has rules for them.
func (r *router) namer() *namer {
	c := r.config
	never := r.reloads == nil && r.attempted == nil && !r.log.NamesOwners() && !c.Egress.NeedsNames()
	if c.Egress.Names == config.NamesOff || never {
		return nil
	}
	n := newNamer(r.local(), newNeighbors(askKernel(r.mark)))
	n.virtual = r.virtual
	n.hosts.Store(&r.hosts)
	if r.resolvers == nil {
		return n
	}
	n.resolver = r.resolvers
	return n
}

// status returns the figures of the names; n may be nil.
func (n *namer) status() *web.Names {
	if n == nil {
		return nil
	}
	s := n.table.Stats()
	return &web.Names{Addresses: s.Addresses, InUse: s.Open, Evicted: s.Evicted}
}

// client returns the client that has an address and, if it is local, an owner. It reports false
// where that is not known.
func (n *namer) client(a netip.Addr, o *record.Owner) (c names.Client, ok bool) {
	switch {
	case !n.local(a):
		return n.neighbors.machine(a, time.Now()), true
	case o != nil:
		return names.User(o.UID), true
	default:
		return names.UnknownUser(), !n.owners
	}
}

// before returns a function that names the server of each handshake and passes it on to next.
func (n *namer) before(next func(*record.Attributed)) func(*record.Attributed) {
	return func(a *record.Attributed) {
		a.Opening.Name = n.handshake(a.Record)
		u := a.Record.Upstream
		a.Opening.Untrusted = u != nil && u.Decision != nil && u.Decision.ByName
		next(a)
	}
}

// behind returns a function that looks up the name of each handshake after first has seen the SYN,
// and has found its owner.
func (n *namer) behind(
	first func(flow.Key, handshake.Segment), owners *attribution,
) func(flow.Key, handshake.Segment) {
	n.owners = owners != nil
	return func(k flow.Key, s handshake.Segment) {
		first(k, s)
		if isSYN(&s) {
			n.syn(k, owners.owner(k))
		}
	}
}

// follow has the namer see the answers to DNS queries, and the ends of connections.
func (n *namer) follow(o *stack.Options) {
	done, gone := o.FlowDone, o.Gone
	o.Gone = func(k flow.Key) {
		n.gone(k)
		gone(k)
	}
	o.FlowDone = func(f flow.Flow) {
		if f.Datagram != nil {
			n.ended(f.Datagram)
		}
		done(f)
	}
	o.DNSAnswered = func(client netip.AddrPort, opening flow.Opening, response *flow.DNS) {
		var asked *record.Owner
		if o := record.AsOpening(opening); o != nil {
			if o.Untrusted {
				return
			}
			asked = o.Owner
		}
		n.answered(client.Addr(), asked, response)
	}
}

// answered takes a response to a DNS query before the client has it.
func (n *namer) answered(client netip.Addr, o *record.Owner, d *flow.DNS) {
	c, ok := n.client(client, o)
	if o != nil && n.resolver(o.UID) {
		c = names.AllUsers()
	}
	if ok {
		n.table.Learn(c, d, time.Now())
	}
}

// begin returns the name by which a client knows a server, nil if it knows none.
func (n *namer) begin(client, server netip.Addr, o *record.Owner) (*record.Name, names.Use) {
	if n.virtual.Contains(server) {
		if name, ok := n.virtual.Name(server); ok {
			return &record.Name{Name: name, Source: "virtual"}, names.Use{}
		}
		return nil, names.Use{}
	}
	name, use := new(record.Name), names.Use{}
	if c, ok := n.client(client, o); ok {
		var known names.Names
		known, use = n.table.Begin(c, server, time.Now())
		*name = record.Name{Name: known.Name, Source: "dns", Others: known.Others}
	}
	n.addHosts(name, client, server)
	if name.Name == "" {
		return nil, use
	}
	return name, use
}

// addHosts adds the names by which a local client knows a server besides.
func (n *namer) addHosts(name *record.Name, client, server netip.Addr) {
	table := n.hosts.Load()
	if table == nil {
		return
	}
	all := (*table)[server.Unmap().WithZone("")]
	if len(all) == 0 || !n.local(client) {
		return
	}
	if name.Name == "" {
		name.Name, name.Source, all = all[0], "hosts", all[1:]
	}
	name.Others = slices.Clip(name.Others) // the table's
	for _, other := range all {
		if other != name.Name && !slices.Contains(name.Others, other) {
			name.Others = append(name.Others, other)
		}
	}
}

// syn looks up the name of a handshake whose SYN passes.
func (n *namer) syn(k flow.Key, o *record.Owner) {
	name, use := n.begin(k.Client.Addr(), k.Server.Addr(), o)
	if name == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.find(k) != nil { // sent again
		n.table.End(use, time.Now())
		return
	}
	if len(n.handshakes) >= maxNamed {
		for _, h := range n.older {
			n.table.End(h.use, time.Now())
		}
		n.handshakes, n.older = make(map[flow.Key]*named), n.handshakes
	}
	n.handshakes[k] = &named{name: name, use: use}
}

func (n *namer) find(k flow.Key) *named {
	if h := n.handshakes[k]; h != nil {
		return h
	}
	return n.older[k]
}

// handshake returns the name of a handshake that has its verdict; nil if it has none.
func (n *namer) handshake(r *handshake.Record) *record.Name {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := r.Key()
	h := n.find(k)
	if h == nil {
		return nil
	}
	h.recorded = true
	if h.gone || r.Outcome != handshake.Established {
		n.end(k, h)
	}
	return h.name
}

// gone takes the key of a connection of which nothing is left.
func (n *namer) gone(k flow.Key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.find(k); h != nil {
		h.gone = true
		if h.recorded {
			n.end(k, h)
		}
	}
}

func (n *namer) end(k flow.Key, h *named) {
	delete(n.handshakes, k)
	delete(n.older, k)
	n.table.End(h.use, time.Now())
}

// datagram returns the name of a flow without a handshake that begins; nil if it has none. Its end
// has to come, unless it is denied.
func (n *namer) datagram(d *flow.Datagram, o *record.Owner) *record.Name {
	name, use := n.begin(d.Client.Addr(), d.Server.Addr(), o)
	switch {
	case name == nil:
	case d.Denied:
		n.table.End(use, time.Now())
	default:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.flows[d] = use
	}
	return name
}

// ended takes the end of a flow without a handshake.
func (n *namer) ended(d *flow.Datagram) {
	n.mu.Lock()
	use := n.flows[d]
	delete(n.flows, d)
	n.mu.Unlock()
	n.table.End(use, time.Now())
}

// conflict reports whether the client has asked the server for another name than the one by which
// it knows the server.
func conflict(o *record.Opening, f *flow.Flow) bool {
	if o == nil || o.Name == nil {
		return false
	}
	return names.Conflict(names.Names{Name: o.Name.Name, Others: o.Name.Others}, f)
}
