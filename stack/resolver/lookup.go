package resolver

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/virtual"
)

// result is the nameservers' answer about the addresses of a name in one family.
type result struct {
	family  virtual.Family
	a       netip.Addr // that stands for it; the zero value where it has none of the family
	none    response   // where it has none
	expires time.Time
	err     error
}

// Bounds on the answers of nameservers.
const (
	minTTL     = 10 * time.Second // a client has to find the address that it was told
	maxTTL     = time.Hour
	failureTTL = 2 * time.Second // after an error
	maxCached  = 8192            // names
	maxReal    = 16              // addresses of a name, of each family
)

// resolutionDelay is how long addresses of one family wait for the other: the Resolution Delay of
// RFC 8305 §3.
const resolutionDelay = 50 * time.Millisecond

// types are those of the questions for addresses, by family.
var types = [2]dnsmessage.Type{virtual.V4: dnsmessage.TypeA, virtual.V6: dnsmessage.TypeAAAA}

// lookup is a lookup in progress.
type lookup struct {
	known   [2]chan struct{}          // closed when the result of the family is there
	results [2]*result                // nil = not known yet; cache.mu guards them until then
	renewed []func(...virtual.Family) // get the families that become known; cache.mu guards them
}

// cache keeps results until they expire. Simultaneous questions share a lookup.
type cache struct {
	mu      sync.Mutex // guards all below
	results map[string][2]*result
	running map[string]*lookup
}

// of returns the results that have not expired; nil replaces the others. mu is held.
func (c *cache) of(name string) (results [2]*result) {
	now := time.Now()
	for f, known := range c.results[name] {
		if known != nil && now.Before(known.expires) {
			results[f] = known
		}
	}
	return results
}

// address returns the virtual address of a name in a family.
func (r *Resolver) address(ctx context.Context, name string, f virtual.Family) *result {
	c := &r.cache
	c.mu.Lock()
	known, l := c.of(name)[f], (*lookup)(nil)
	if known == nil {
		l = r.lookup(name)
	}
	c.mu.Unlock()
	if known != nil {
		return known
	}
	select {
	case <-l.known[f]:
		return l.results[f]
	case <-ctx.Done():
		return &result{err: ctx.Err()}
	}
}

// addresses returns the virtual addresses of a name by family, as soon as one is known. The zero
// value means that the name has none of the family, or that it is not known yet.
func (r *Resolver) addresses(ctx context.Context, name string) (all [2]netip.Addr, err error) {
	c := &r.cache
	c.mu.Lock()
	results := c.of(name)
	if results[virtual.V4] == nil || results[virtual.V6] == nil {
		l := r.lookup(name)
		c.mu.Unlock()
		select {
		case <-l.known[virtual.V4]:
		case <-l.known[virtual.V6]:
		case <-ctx.Done():
			return all, ctx.Err()
		}
		c.mu.Lock()
		results = l.results
	}
	c.mu.Unlock()
	for f, found := range results {
		if found != nil {
			all[f], err = found.a, errors.Join(err, found.err)
		}
	}
	return all, err
}

// lookup returns the running lookup of a name, or begins one. cache.mu is held.
func (r *Resolver) lookup(name string) *lookup {
	l := r.cache.running[name]
	if l == nil {
		l = &lookup{known: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
		r.cache.running[name] = l
		r.tasks.Go(func() { r.look(name, l) })
	}
	return l
}

// answer is that of a nameserver, in one family.
type answer struct {
	family  virtual.Family
	message *dnsmessage.Message // nil = there is none
	err     error
	real    []netip.Addr
	ttl     time.Duration
}

// look asks the nameservers for both families at once, and assigns the name's virtual addresses.
// Those of one family wait briefly for the other, because a nameserver may never answer the other
// question.
func (r *Resolver) look(name string, l *lookup) {
	asked, err := dnsmessage.NewName(name + ".")
	if err != nil {
		asked = dnsmessage.MustNewName(".")
	}
	answers := make(chan *answer, len(types))
	for f, typ := range types {
		r.tasks.Go(func() { answers <- r.askFamily(virtual.Family(f), asked, typ) })
	}
	first := <-answers
	delay := time.NewTimer(resolutionDelay)
	defer delay.Stop()
	if len(first.real) == 0 {
		delay.Stop() // what it says is not clear without the other
	}
	select {
	case second := <-answers:
		if len(first.real) == 0 {
			first, second = second, first // the one with addresses has the name enter the table
		}
		r.publish(name, l, r.assign(name, first, second), r.assign(name, second, first))
	case <-delay.C:
		r.publish(name, l, r.assign(name, first, nil))
		r.publish(name, l, r.assign(name, <-answers, first))
	}
}

func (r *Resolver) askFamily(f virtual.Family, name dnsmessage.Name, typ dnsmessage.Type) *answer {
	a := &answer{family: f, ttl: failureTTL}
	if a.message, a.err = r.ask(r.ctx, name, typ); a.err != nil {
		return a
	}
	a.real, a.ttl = addressesIn(a.message)
	a.real = a.real[:min(len(a.real), maxReal)]
	if len(a.real) == 0 {
		a.ttl = min(a.ttl, negativeTTL(a.message))
	}
	return a
}

// negativeTTL returns how long it holds that a message has no answer (RFC 2308 §5).
func negativeTTL(m *dnsmessage.Message) time.Duration {
	for _, a := range authorities(m) {
		if soa, ok := a.Body.(*dnsmessage.SOAResource); ok {
			return time.Duration(min(a.Header.TTL, soa.MinTTL)) * time.Second
		}
	}
	return 0
}

// assign returns the result of an answer, and assigns the name a virtual address if there are real
// ones. other is the answer in the other family; nil = not known yet.
func (r *Resolver) assign(name string, own, other *answer) *result {
	found := &result{family: own.family}
	now := time.Now()
	if len(own.real) > 0 {
		found.expires = now.Add(max(own.ttl, minTTL))
		found.a, found.err = r.table.Assign(name, own.family, own.real, found.expires)
		return found
	}
	if found.err = unanswered(own, other); found.err != nil {
		found.expires = now.Add(failureTTL)
		r.table.Postpone(name, own.family, found.expires)
		return found
	}
	found.expires = now.Add(max(own.ttl, minTTL))
	r.table.Update(name, own.family, nil, found.expires)
	m := own.message
	if m == nil {
		m = other.message
	}
	found.none = response{rcode: m.RCode, authorities: authorities(m)}
	if len(other.real) > 0 {
		found.none.rcode = dnsmessage.RCodeSuccess
	}
	return found
}

// unanswered returns nil if it is known whether a name has addresses: one answer has some or says
// that the name does not exist, or both say that there are none. Otherwise it returns the reason.
func unanswered(own, other *answer) error {
	for _, a := range []*answer{own, other} {
		if len(a.real) > 0 || a.message != nil && a.message.RCode == dnsmessage.RCodeNameError {
			return nil
		}
	}
	return errors.Join(own.err, other.err)
}

// publish hands results to the waiting queries. With those of both families the lookup is over.
func (r *Resolver) publish(name string, l *lookup, found ...*result) {
	c := &r.cache
	c.mu.Lock()
	if _, known := c.results[name]; !known && len(c.results) >= maxCached {
		clear(c.results)
	}
	results, families := c.results[name], []virtual.Family(nil)
	for _, one := range found {
		l.results[one.family], results[one.family] = one, one
		families = append(families, one.family)
	}
	c.results[name] = results
	if l.results[virtual.V4] != nil && l.results[virtual.V6] != nil {
		delete(c.running, name)
	}
	renewed := l.renewed
	c.mu.Unlock()
	for _, f := range families {
		close(l.known[f])
	}
	for _, done := range renewed {
		done(families...)
	}
}
