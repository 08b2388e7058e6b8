package nft

import (
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
)

// Redirects reports whether a chain leads packets of this host's own sockets to a program of this
// host, as a transparent proxy has it.
func (k *Kernel) Redirects() (bool, error) {
	all, err := k.lists()
	if err != nil {
		return false, err
	}
	for _, c := range all {
		if c.Type != nftables.ChainTypeNAT || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookOutput {
			continue
		}
		for _, other := range all {
			if k.mayJump(c, other) && slices.ContainsFunc(k.rules(other.Table, other.Name), redirects) {
				return true, nil
			}
		}
	}
	return false, nil
}

// redirects reports whether a rule changes the destination of a packet to this host's loopback.
func redirects(r *nftables.Rule) bool {
	toLoopback := false
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Redir:
			return true
		case *expr.Immediate:
			toLoopback = toLoopback || net.IP(e.Data).IsLoopback()
		case *expr.NAT:
			if e.Type == expr.NATTypeDestNAT && toLoopback {
				return true
			}
		case *expr.Target: // of iptables
			to := net.IP{}
			switch info := e.Info.(type) {
			case *xt.NatRange:
				to = info.MinIP
			case *xt.NatRange2:
				to = info.MinIP
			}
			if e.Name == "REDIRECT" || e.Name == "DNAT" && to.IsLoopback() {
				return true
			}
		}
	}
	return false
}
