//go:build linux

package dial

import (
	"net/netip"

	"syntap/stack/egress"
	"syntap/tun/flow"
)

// Decisions on virtual addresses, which are never dialled themselves.
var (
	noName    = &flow.Decision{Deny: true, Rule: "egress.names", Reason: "no name has this virtual address"}
	noAddress = &flow.Decision{Deny: true, Rule: "egress.names", Reason: "the name has no address now"}
)

// Await calls then once, when the real addresses of a destination that stands for a name are known:
// at once, or later from another goroutine.
func (d *Dialer) Await(dst netip.Addr, then func()) {
	if v := d.o.Load().Virtual; v.Contains(dst) {
		v.Await(dst, then)
		return
	}
	then()
}

// Targets returns the addresses to dial for a flow, in order, and the decision of policy under its
// ruling. If that denies, there are none.
func (d *Dialer) Targets(f Flow, r *egress.Ruling) ([]netip.AddrPort, *flow.Decision) {
	o, dst := d.o.Load(), f.Server
	if !o.isVirtual(dst) {
		target, decision := d.Target(f, r)
		if decision.Deny {
			return nil, decision
		}
		return []netip.AddrPort{target}, decision
	}
	var ok bool
	if f.Name, ok = o.Virtual.Name(dst.Addr()); !ok {
		return nil, noName
	}
	var targets []netip.AddrPort
	var allowed, denied *flow.Decision
	for _, real := range o.Virtual.Real(dst.Addr()) {
		target := netip.AddrPortFrom(real, dst.Port())
		decision := o.decideReal(f, target)
		switch {
		case !decision.Deny:
			targets = append(targets, target)
			if allowed == nil {
				allowed = decision
			}
		case denied == nil:
			denied = denialOf(real, decision)
		}
	}
	switch {
	case allowed != nil:
		return targets, allowed
	case denied != nil:
		return nil, denied
	}
	return nil, noAddress
}

// decideReal decides on a real address of the name that the server of a flow stands for.
func (o *settings) decideReal(f Flow, target netip.AddrPort) *flow.Decision {
	f.Real = target
	return o.Policy.decide(f.Client.Addr(), target, o.rule(f))
}

// denialOf returns a decision that denies a real address of a name, with the address.
func denialOf(real netip.Addr, d *flow.Decision) *flow.Decision {
	denial := *d
	denial.Real = real
	return &denial
}

// targetOfName is Target for a virtual address.
func (o *settings) targetOfName(f Flow) (netip.AddrPort, *flow.Decision) {
	dst := f.Server
	var ok bool
	if f.Name, ok = o.Virtual.Name(dst.Addr()); !ok {
		return dst, noName
	}
	var allowed, denied *flow.Decision
	real, ok := o.Virtual.Datagram(dst.Addr(), func(real netip.Addr) bool {
		decision := o.decideReal(f, netip.AddrPortFrom(real, dst.Port()))
		if decision.Deny {
			denied = denialOf(real, decision)
		} else {
			allowed = decision
		}
		return !decision.Deny
	})
	switch {
	case ok:
		return netip.AddrPortFrom(real, dst.Port()), allowed
	case denied != nil:
		return dst, denied
	}
	return dst, noAddress
}

// isVirtual reports whether a destination stands for a name, or could.
func (o *settings) isVirtual(dst netip.AddrPort) bool { return o.Virtual.Contains(dst.Addr()) }

// Heard notes that a datagram has come from a far end that the client knows as dst.
func (d *Dialer) Heard(dst, from netip.Addr) {
	if dst != from {
		d.o.Load().Virtual.Heard(dst, from)
	}
}

// Unreachable notes that a datagram to dst did not reach target, the address from Target. If dst
// stands for a name, the next one goes to another address of it.
func (d *Dialer) Unreachable(dst, target netip.Addr) {
	if dst != target {
		d.o.Load().Virtual.Unreachable(dst, target)
	}
}

// Hold keeps the name that dst stands for, if it does, until release is called; nil has no effect.
func (d *Dialer) Hold(dst netip.Addr) (release func()) {
	if v := d.o.Load().Virtual; v.Hold(dst) {
		return func() { v.Release(dst) }
	}
	return nil
}
