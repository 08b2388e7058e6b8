package nft

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// conntrackPriority is that of connection tracking (NF_IP_PRI_CONNTRACK): a zone is chosen before.
const conntrackPriority = -200

// Zones returns the zones of connection tracking, sorted, into which rules put packets, but for
// those of tables that the caller names.
func (k *Kernel) Zones(own []string) (zones []uint16, err error) {
	all, err := k.lists()
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		isBefore := c.Hooknum != nil && c.Priority != nil && *c.Priority < conntrackPriority
		if !isBefore || slices.Contains(own, c.Table.Name) {
			continue
		}
		for _, other := range all {
			if !k.mayJump(c, other) {
				continue
			}
			for _, r := range k.rules(other.Table, other.Name) {
				zones = append(zones, k.zonesOf(r)...)
			}
		}
	}
	slices.Sort(zones)
	return slices.DeleteFunc(slices.Compact(zones), func(z uint16) bool { return z == 0 }), nil
}

// zonesOf returns the zones into which a rule may put packets.
func (k *Kernel) zonesOf(r *nftables.Rule) (zones []uint16) {
	var values [][]byte
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Immediate:
			values = [][]byte{e.Data}
		case *expr.Lookup:
			values = nil
			elements, err := k.conn.GetSetElements(&nftables.Set{Table: r.Table, Name: e.SetName})
			for _, element := range elements {
				if err == nil && e.IsDestRegSet {
					values = append(values, element.Val)
				}
			}
		case *expr.Ct:
			// The library reads no source register: it is that of a statement which sets the zone.
			for _, v := range values {
				if e.Key == expr.CtKeyZONE && e.Register == 0 && len(v) >= 2 {
					zones = append(zones, binaryutil.NativeEndian.Uint16(v))
				}
			}
		case *expr.Target: // of iptables: struct xt_ct_target_info has flags and the zone
			info, ok := e.Info.(*xt.Unknown)
			if ok && e.Name == "CT" && len(*info) >= 4 {
				zones = append(zones, binaryutil.NativeEndian.Uint16((*info)[2:]))
			}
		}
	}
	return zones
}

// Zone matches packets in a zone of connection tracking.
func Zone(zone uint16) Statement {
	return Statement{fmt.Sprintf("ct zone %d", zone), []expr.Any{
		&expr.Ct{Key: expr.CtKeyZONE, Register: reg}, equal(binaryutil.NativeEndian.PutUint16(zone)),
	}}
}

// SetZone puts the packet into a zone, before connection tracking.
func SetZone(zone uint16) Statement {
	return Statement{fmt.Sprintf("ct zone set %d", zone), []expr.Any{
		&expr.Immediate{Register: reg, Data: binaryutil.NativeEndian.PutUint16(zone)},
		&expr.Ct{Key: expr.CtKeyZONE, Register: reg, SourceRegister: true},
	}}
}

// pair loads two addresses as an element has them of a set of the type address, address. It returns
// the first register.
func (f Field) pair(second Field) ([]expr.Any, uint32) {
	r := uint32(unix.NFT_REG32_00)
	return append(f.isFamily(), f.load(r), second.load(r+f.size/4)), r
}

// NotePair notes two addresses of the packet in a set of the type address, address.
func NotePair(first, second Field, set string) Statement {
	load, r := first.pair(second)
	return Statement{
		fmt.Sprintf("update @%s { %s . %s }", set, first.text, second.text),
		append(load, &expr.Dynset{SrcRegKey: r, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE}),
	}
}

// PairIn matches packets two addresses of which are in a set of the type address, address.
func PairIn(first, second Field, set string) Statement {
	load, r := first.pair(second)
	return Statement{
		fmt.Sprintf("%s . %s @%s", first.text, second.text, set),
		append(load, &expr.Lookup{SourceRegister: r, SetName: set}),
	}
}
