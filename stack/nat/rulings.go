//go:build linux

package nat

import (
	"net/netip"
	"time"

	"syntap/stack/dial"
	"syntap/stack/egress"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
)

// rulings keeps the rulings on flows while they are in use, so that the rules are asked once per
// flow, and a flow keeps its ruling when the rules change. It belongs to the read loop. It has two
// maps: when the newer one has maxRulings, the older one is dropped, and a flow in neither gets a
// new ruling.
type rulings struct {
	ruled, older map[ruledKey]*ruled
	last         ruledKey // of the last frame
	lastRuled    *ruled   // its entry; nil = none
}

type ruledKey struct {
	client mappings.Endpoint
	server netip.AddrPort
}

type ruled struct {
	ruling *egress.Ruling
	used   time.Duration // on the table's clock; of a denial, when it was made
}

// denialAge is how long a denial is valid: the client may learn a name of the server meanwhile.
const denialAge = time.Second

// maxRulings is the size of each of the two maps.
const maxRulings = 16384

// rule returns the ruling on a flow, nil if there are no rules.
func (n *NAT) rule(f dial.Flow, now time.Duration) *egress.Ruling {
	client := mappings.Endpoint{AddrPort: f.Client, Echo: f.Proto == tunflow.ICMP}
	r, k := &n.rulings, ruledKey{client, f.Server}
	e := r.find(k)
	switch {
	case e == nil:
	case e.ruling.Deny:
		if now-e.used < denialAge {
			return e.ruling
		}
	case now-e.used < n.table.Lifetime(client.Echo):
		e.used = now
		return e.ruling
	}
	ruling := n.dialer.Rule(f)
	if ruling != nil {
		r.add(k, &ruled{ruling, now})
	}
	return ruling
}

// find returns the entry of a flow, nil if there is none.
func (r *rulings) find(k ruledKey) *ruled {
	if r.lastRuled != nil && k == r.last {
		return r.lastRuled
	}
	e := r.ruled[k]
	if e == nil {
		if e = r.older[k]; e == nil {
			return nil
		}
		r.add(k, e)
	}
	r.last, r.lastRuled = k, e
	return e
}

// forget drops the ruling on a flow.
func (r *rulings) forget(k ruledKey) {
	delete(r.ruled, k)
	delete(r.older, k)
	if k == r.last {
		r.lastRuled = nil
	}
}

func (r *rulings) add(k ruledKey, e *ruled) {
	if r.ruled == nil || len(r.ruled) >= maxRulings {
		r.ruled, r.older = make(map[ruledKey]*ruled), r.ruled
	}
	r.ruled[k] = e
	r.last, r.lastRuled = k, e
}
