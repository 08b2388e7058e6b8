package record

import (
	"net/netip"

	"syntap/tun/flow"
)

// decision writes the decision of policy; nil writes nothing.
func (o *object) decision(d *flow.Decision) {
	if d == nil {
		return
	}
	if d.Deny {
		o.string(`,"verdict":"deny","rule":`, d.Rule)
		o.known(`,"reason":`, d.Reason)
		return
	}
	o.string(`,"verdict":"allow","rule":`, d.Rule)
}

// name writes the names of the server.
func (o *object) name(opening *Opening) {
	if opening == nil || opening.Name == nil {
		return
	}
	n := opening.Name
	o.known(`,"name":`, n.Name)
	o.known(`,"name_source":`, n.Source)
	o.texts(`,"names":[`, n.Others)
}

// owner writes the process of the client.
func (o *object) owner(opening *Opening) {
	if opening == nil || opening.Owner == nil {
		return
	}
	p := opening.Owner
	o.uint(`,"uid":`, uint64(p.UID))
	o.known(`,"user":`, p.User)
	if p.PID != 0 {
		o.uint(`,"pid":`, uint64(p.PID))
	}
	o.known(`,"process":`, p.Process)
	o.known(`,"exe":`, p.Exe)
	o.known(`,"unit":`, p.Unit)
	o.known(`,"container":`, p.Container)
}

func (o *object) communityID(p flow.Proto, client, server netip.AddrPort) {
	o.raw(`,"community_id":"`)
	o.b = append(AppendCommunityID(o.b, p, client, server), '"')
}
