package blackhole

import (
	"net/netip"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/packet"
)

// around is a prefix whose hosts are likely to be behind the same path, at one end of it.
type around struct {
	netip.Prefix
	client bool
}

func (e end) around() around {
	bits := 56
	if e.addr.Is4() {
		bits = 24
	}
	p, _ := e.addr.WithZone("").Prefix(bits)
	return around{p, e.client}
}

// vicinity is the hosts of a prefix that have findings.
type vicinity struct {
	hosts   map[netip.Addr]*record.Finding
	finding *record.Finding // of the prefix, where enough of its hosts agree; nil = none
}

// joinVicinity adds a finding to those of the prefix around it. The lock is held.
func (f *Finder) joinVicinity(e end, of *record.Finding) {
	v := f.near[e.around()]
	if v == nil {
		v = &vicinity{hosts: make(map[netip.Addr]*record.Finding)}
		f.near[e.around()] = v
	}
	v.hosts[e.addr] = of
	f.agree(e.around(), v, of.Time)
}

// leaveVicinity removes the finding of a host. The lock is held.
func (f *Finder) leaveVicinity(e end) {
	v := f.near[e.around()]
	if v == nil {
		return
	}
	if delete(v.hosts, e.addr); len(v.hosts) == 0 {
		delete(f.near, e.around())
	}
	f.agree(e.around(), v, time.Now())
}

// agree makes, renews or forgets the finding of a prefix. The lock is held.
func (f *Finder) agree(at around, v *vicinity, now time.Time) {
	if len(v.hosts) < neighbours {
		v.finding = nil
		return
	}
	next := &record.Finding{
		Header: record.Header{Time: now, Level: "warning", Msg: "finding"},
		Kind:   record.BlackHole, Confidence: record.Medium, Dst: at.String(),
	}
	var lowest packet.MSS
	for _, one := range v.hosts {
		next.Family, next.Leg = one.Family, one.Leg
		next.Flows += one.Flows
		next.Applied = next.Applied || one.Applied
		if next.Expires.Before(one.Expires) {
			next.Expires = one.Expires
		}
		if next.Direction == "" {
			next.Direction = one.Direction
		} else if next.Direction != one.Direction {
			next.Direction = "both"
		}
		if clamp := packet.MSS(one.Clamp); lower(lowest, clamp) != lowest {
			lowest, next.Passes, next.Fails = clamp, one.Passes, one.Fails
		}
	}
	next.Clamp = int(lowest)
	before := v.finding
	v.finding = next
	if before != nil && before.Clamp == next.Clamp && before.Direction == next.Direction {
		next.Header = before.Header
		return
	}
	told := *next
	f.later(func() { f.o.Found(&told) })
}
