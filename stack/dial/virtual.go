//go:build linux

package dial

import (
	"net/netip"

	"syntap/tun/flow"
)

// Decisions on virtual addresses, which are never dialled themselves.
var (
	noName    = &flow.Decision{Deny: true, Rule: "egress.names", Reason: "no name has this virtual address"}
	noAddress = &flow.Decision{Deny: true, Rule: "egress.names", Reason: "the name has no address now"}
)

// Await calls then, once, when the real addresses are known of a destination that stands for a
// name: at once, or later from another goroutine.
func (d *Dialer) Await(dst netip.Addr, then func()) {
	if v := d.o.Load().Virtual; v.Contains(dst) {
		v.Await(dst, then)
		return
	}
	then()
}

// Targets returns the addresses to dial for packets of client to dst, in turn, and the decision of
// policy. Where that denies, there are none.
func (d *Dialer) Targets(client netip.Addr, dst netip.AddrPort) ([]netip.AddrPort, *flow.Decision) {
	o := d.o.Load()
	if !o.isVirtual(dst) {
		target, decision := d.Target(client, dst)
		if decision.Deny {
			return nil, decision
		}
		return []netip.AddrPort{target}, decision
	}
	if _, ok := o.Virtual.Name(dst.Addr()); !ok {
		return nil, noName
	}
	var targets []netip.AddrPort
	var allowed, denied *flow.Decision
	for _, real := range o.Virtual.Real(dst.Addr()) {
		target := netip.AddrPortFrom(real, dst.Port())
		decision := o.Policy.decide(client, target)
		switch {
		case !decision.Deny:
			targets = append(targets, target)
			if allowed == nil {
				allowed = decision
			}
		case denied == nil:
			denied = decision
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

// targetOfName is Target for a virtual address.
func (o *settings) targetOfName(client netip.Addr, dst netip.AddrPort) (netip.AddrPort, *flow.Decision) {
	if _, ok := o.Virtual.Name(dst.Addr()); !ok {
		return dst, noName
	}
	var allowed, denied *flow.Decision
	real, ok := o.Virtual.Datagram(dst.Addr(), func(real netip.Addr) bool {
		decision := o.Policy.decide(client, netip.AddrPortFrom(real, dst.Port()))
		if decision.Deny {
			denied = decision
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

// Heard notes that a datagram has come from a far end which the client knows by the address dst.
func (d *Dialer) Heard(dst, from netip.Addr) {
	if dst != from {
		d.o.Load().Virtual.Heard(dst, from)
	}
}

// Unreachable notes that a datagram to dst did not reach target, to which Target has led it: where
// dst stands for a name, the next goes to another address of it.
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
