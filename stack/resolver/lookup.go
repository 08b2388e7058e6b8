package resolver

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// result is what the nameservers say of the addresses of a name.
type result struct {
	v4, v6  netip.Addr // that stand for it; the zero value where it has none of the family
	none    response   // where it has none
	expires time.Time
	err     error
}

// Bounds of what the nameservers say.
const (
	minTTL     = 10 * time.Second // a client has to find the address that it was told
	maxTTL     = time.Hour
	failureTTL = 2 * time.Second // after an error
	maxCached  = 8192            // names
	maxReal    = 16              // addresses of a name, of each family
)

// lookup is a look-up that is going on.
type lookup struct {
	done   chan struct{} // closed when result is there
	result *result
}

// cache has results until they expire, and has no question asked twice at a time.
type cache struct {
	mu      sync.Mutex // guards all below
	results map[string]*result
	running map[string]*lookup
}

// addresses returns the addresses of a name: those of the cache, or with fresh of the nameservers.
func (r *Resolver) addresses(ctx context.Context, name string, fresh bool) *result {
	c := &r.cache
	c.mu.Lock()
	if known := c.results[name]; known != nil && !fresh && time.Now().Before(known.expires) {
		c.mu.Unlock()
		return known
	}
	l := c.running[name]
	if l == nil {
		l = &lookup{done: make(chan struct{})}
		c.running[name] = l
		r.tasks.Go(func() { r.look(name, l) })
	}
	c.mu.Unlock()
	select {
	case <-l.done:
		return l.result
	case <-ctx.Done():
		return &result{err: ctx.Err()}
	}
}

// look asks the nameservers for both families at a time, and has the name get addresses.
func (r *Resolver) look(name string, l *lookup) {
	asked, err := dnsmessage.NewName(name + ".")
	if err != nil {
		asked = dnsmessage.MustNewName(".")
	}
	var messages [2]*dnsmessage.Message
	var errs [2]error
	var both sync.WaitGroup
	for i, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		both.Go(func() { messages[i], errs[i] = r.ask(r.ctx, asked, typ) })
	}
	both.Wait()
	l.result = r.assign(name, messages, errs)
	c := &r.cache
	c.mu.Lock()
	delete(c.running, name)
	if len(c.results) >= maxCached {
		clear(c.results)
	}
	c.results[name] = l.result
	c.mu.Unlock()
	close(l.done)
}

// assign has the name get addresses for those that the nameservers have told.
func (r *Resolver) assign(name string, messages [2]*dnsmessage.Message, errs [2]error) *result {
	now := time.Now()
	found := &result{expires: now.Add(failureTTL)}
	if found.err = unanswered(messages, errs); found.err != nil {
		r.table.Postpone(name, found.expires)
		return found
	}
	ttl := maxTTL
	var real []netip.Addr
	var has [2]bool
	for i, m := range messages {
		if m == nil {
			ttl = failureTTL
			continue
		}
		all, least := addressesIn(m)
		real = append(real, all[:min(len(all), maxReal)]...)
		ttl = min(ttl, least)
		has[i] = len(all) > 0
		if !has[i] && found.none.authorities == nil {
			found.none = response{rcode: m.RCode, authorities: authorities(m, dnsmessage.TypeSOA)}
		}
	}
	found.expires = now.Add(max(ttl, minTTL))
	if len(real) == 0 {
		r.table.Update(name, nil, found.expires)
		return found
	}
	found.none.rcode = dnsmessage.RCodeSuccess
	v4, v6, err := r.table.Assign(name, real, found.expires)
	found.err = err
	if has[0] {
		found.v4 = v4
	}
	if has[1] {
		found.v6 = v6
	}
	return found
}

// unanswered returns why it is not known whether a name has addresses, nil where it is: where
// either answer has some, says that the name does not exist, or both say that there are none.
func unanswered(messages [2]*dnsmessage.Message, errs [2]error) error {
	for _, m := range messages {
		if m == nil {
			continue
		}
		if all, _ := addressesIn(m); len(all) > 0 || m.RCode == dnsmessage.RCodeNameError {
			return nil
		}
	}
	return errors.Join(errs[0], errs[1])
}
