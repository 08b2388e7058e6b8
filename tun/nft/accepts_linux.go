package nft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Link is an interface.
type Link struct {
	Name     string
	Index    int // 0 = it changes with each start
	Networks []netip.Prefix
}

// ForwardDrops returns the chains that drop forwarded packets by default, and with them packets
// from one of the links to the interface name, or the answers to them.
func (k *Kernel) ForwardDrops(name string, links []Link) ([]ChainName, error) {
	return k.drops(*nftables.ChainHookForward, func(c *nftables.Chain) bool {
		for _, l := range links {
			there := packets{k: k, tun: name, in: l, out: Link{Name: name}, state: expr.CtStateBitNEW}
			back := packets{k: k, tun: name, in: Link{Name: name}, out: l, state: expr.CtStateBitESTABLISHED}
			if !there.accepted(c) || !back.accepted(c) {
				return true
			}
		}
		return false
	})
}

// InputDrops returns the chains that drop packets to this host by default, and with them answers
// that come from the interface name.
func (k *Kernel) InputDrops(name string) ([]ChainName, error) {
	return k.drops(*nftables.ChainHookInput, func(c *nftables.Chain) bool {
		p := packets{k: k, tun: name, in: Link{Name: name}, state: expr.CtStateBitESTABLISHED}
		return !p.accepted(c)
	})
}

// drops returns the chains of a hook that drop by default, and of which concerned holds.
func (k *Kernel) drops(hook nftables.ChainHook, concerned func(*nftables.Chain) bool) (drops []ChainName, err error) {
	all, err := k.lists()
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		at := k.name(c)
		if at.Family != "" && c.Hooknum != nil && *c.Hooknum == hook && k.dropsRest(c) && concerned(c) {
			drops = append(drops, at)
		}
	}
	return drops, nil
}

// packets are those between two interfaces, one of which is the TUN, in one state of connection
// tracking. Their addresses and ports are not known.
type packets struct {
	k       *Kernel
	tun     string
	in, out Link
	state   uint32
	table   *nftables.Table
	judged  map[visit]expr.VerdictKind
}

// way is how packets get to a rule.
type way struct {
	some  bool // of them alone, by conditions that are not known to hold
	meant bool // by a rule that names the TUN, or asks for their state of answers
}

type visit struct {
	chain string
	way   way
}

// accepted reports whether a chain of a hook accepts the packets. A rule for some of them counts if
// it means them.
func (p *packets) accepted(c *nftables.Chain) bool {
	p.table, p.judged = c.Table, make(map[visit]expr.VerdictKind)
	switch p.walk(c.Name, way{}) {
	case expr.VerdictAccept:
		return true
	case expr.VerdictDrop:
		return false
	default:
		return c.Policy == nil || *c.Policy == nftables.ChainPolicyAccept
	}
}

// walk returns the verdict of a chain: accept, drop, or else return.
func (p *packets) walk(chain string, w way) (kind expr.VerdictKind) {
	at := visit{chain, w}
	if kind, ok := p.judged[at]; ok {
		return kind
	}
	defer func() { p.judged[at] = kind }()
	for _, r := range p.k.rules(p.table, chain) {
		v, w, ok := p.rule(r, w)
		if !ok {
			continue
		}
		switch v.Kind {
		case expr.VerdictJump, expr.VerdictGoto:
			kind = p.walk(v.Chain, w)
			if kind != expr.VerdictReturn || v.Kind == expr.VerdictGoto && !w.some {
				return kind
			}
		case expr.VerdictAccept:
			if !w.some || w.meant {
				return v.Kind
			}
		case expr.VerdictDrop, expr.VerdictReturn:
			if !w.some {
				return v.Kind
			}
		default:
		}
	}
	return expr.VerdictReturn
}

// rule returns the verdict of a rule, and the way of packets to it. It has none where its
// conditions do not hold.
func (p *packets) rule(r *nftables.Rule, w way) (*expr.Verdict, way, bool) {
	var in condition // the register
	for _, e := range r.Exprs {
		holds := true
		switch e := e.(type) {
		case *expr.Meta:
			in = p.meta(e)
		case *expr.Ct:
			in = condition{some: e.Key != expr.CtKeySTATE, state: e.Key == expr.CtKeySTATE}
		case *expr.Payload:
			in = condition{some: true, payload: e, mask: bytes.Repeat([]byte{0xff}, int(e.Len))}
		case *expr.Bitwise:
			in.mask = e.Mask
		case *expr.Cmp:
			holds = p.compare(e, in, &w)
		case *expr.Lookup:
			element := p.find(r.Table, e.SetName, in)
			holds = in.some || (element != nil) != e.Invert
			p.note(&w, in, element != nil)
			if e.IsDestRegSet {
				v := verdictIn(element)
				return v, w, holds && v != nil
			}
		case *expr.Match: // of iptables
			holds = p.match(e, &w)
		case *expr.Reject:
			return &expr.Verdict{Kind: expr.VerdictDrop}, w, true
		case *expr.Target: // of iptables
			return &expr.Verdict{Kind: expr.VerdictDrop}, w, e.Name == "REJECT"
		case *expr.Verdict:
			return e, w, true
		case *expr.Counter, *expr.Log, *expr.Immediate:
		default:
			in = condition{some: true}
			w.some = true
		}
		if !holds {
			return nil, w, false
		}
	}
	return nil, w, false
}

// condition is what the register has that a rule asks for.
type condition struct {
	some    bool // not known
	payload *expr.Payload
	link    *Link // nil = no interface
	byIndex bool
	state   bool
	mask    []byte
}

func (p *packets) meta(e *expr.Meta) condition {
	switch e.Key {
	case expr.MetaKeyIIFNAME, expr.MetaKeyIIF:
		return condition{link: &p.in, byIndex: e.Key == expr.MetaKeyIIF}
	case expr.MetaKeyOIFNAME, expr.MetaKeyOIF:
		return condition{link: &p.out, byIndex: e.Key == expr.MetaKeyOIF}
	case expr.MetaKeyNFPROTO:
		return condition{}
	default:
		return condition{some: true}
	}
}

// note notes on the way what a condition says of the packets for which it holds, and whether it
// names them.
func (p *packets) note(w *way, c condition, named bool) {
	means := c.link != nil && c.link.Name == p.tun || c.state && p.state == expr.CtStateBitESTABLISHED
	w.some = w.some || c.some
	w.meant = w.meant || named && means
}

// compare reports whether a comparison with the register may hold.
func (p *packets) compare(e *expr.Cmp, c condition, w *way) bool {
	var is bool
	equal := e.Op == expr.CmpOpEq
	switch {
	case c.payload != nil:
		return p.compareSource(e, c, w)
	case c.link != nil:
		is = c.link.named(e.Data, c.byIndex)
	case c.state && len(c.mask) == 4: // a mask, some bits of which are to be there
		is, equal = binaryutil.NativeEndian.Uint32(c.mask)&p.state != 0, !equal
	case c.state && len(e.Data) == 4:
		is = binaryutil.NativeEndian.Uint32(e.Data)&p.state != 0
	default:
		p.note(w, c, equal)
		return true
	}
	p.note(w, c, is && equal)
	return is == equal
}

// compareSource is compare for bytes of a packet. The source of packets of a link belongs to its
// networks; others are not known.
func (p *packets) compareSource(e *expr.Cmp, c condition, w *way) bool {
	of, isDestination := network(c.payload, e.Data, c.mask)
	equal, some, all := e.Op == expr.CmpOpEq, false, true
	known := of.IsValid() && !isDestination
	for _, n := range p.in.Networks {
		if n.Addr().Is4() == of.Addr().Is4() {
			some = some || of.Overlaps(n)
			all = all && of.Bits() <= n.Bits() && of.Overlaps(n)
		}
	}
	if known && (some == all) && len(p.in.Networks) > 0 {
		return some == equal
	}
	w.some = true
	w.meant = w.meant || known && some && equal
	return true
}

// named reports whether data of a rule names an interface, in full or by a wildcard.
func (l *Link) named(data []byte, byIndex bool) bool {
	if byIndex {
		return l.Index != 0 && bytes.Equal(data, native(uint32(l.Index)))
	}
	name, isWhole := bytes.CutSuffix(data, []byte{0})
	name = bytes.TrimRight(name, "\x00")
	if isWhole {
		return string(name) == l.Name
	}
	return strings.HasPrefix(l.Name, string(name))
}

// find returns the element of a set or map that the register meets, nil if there is none.
func (p *packets) find(table *nftables.Table, set string, c condition) *nftables.SetElement {
	elements, err := p.k.conn.GetSetElements(&nftables.Set{Table: table, Name: set})
	if err != nil {
		return nil
	}
	for _, e := range elements {
		switch {
		case c.link != nil && c.byIndex && c.link.named(e.Key, true),
			c.link != nil && !c.byIndex && bytes.Contains(e.Key, interfaceName(c.link.Name)),
			c.state && len(e.Key) == 4 && binaryutil.NativeEndian.Uint32(e.Key)&p.state != 0:
			return &e
		}
	}
	return nil
}

// verdictIn returns the verdict of an element of a map, nil if it has none.
func verdictIn(e *nftables.SetElement) *expr.Verdict {
	if e == nil {
		return nil
	}
	d, err := netlink.NewAttributeDecoder(e.Val)
	if err != nil {
		return nil
	}
	d.ByteOrder = binary.BigEndian
	v := &expr.Verdict{Kind: expr.VerdictReturn}
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_VERDICT_CODE:
			v.Kind = expr.VerdictKind(int32(d.Uint32()))
		case unix.NFTA_VERDICT_CHAIN:
			v.Chain = d.String()
		}
	}
	return v
}

// match reports whether a match of iptables may hold.
func (p *packets) match(m *expr.Match, w *way) bool {
	mask, inverted := uint32(0), false
	switch info := m.Info.(type) {
	case *xt.ConntrackMtinfo3:
		mask, inverted = uint32(info.StateMask), info.InvertFlags&uint16(xt.ConntrackState) != 0
		const states = uint16(xt.ConntrackState | xt.ConntrackStateAlias)
		w.some = w.some || info.MatchFlags&^states != 0
		if info.MatchFlags&states == 0 {
			return true
		}
	case *xt.Unknown:
		if m.Name != "state" || len(*info) < 4 {
			w.some = true
			return true
		}
		mask = binaryutil.NativeEndian.Uint32(*info)
	default:
		w.some = w.some || m.Name != "comment"
		return true
	}
	is := mask&p.state != 0
	p.note(w, condition{state: true}, is && !inverted)
	return is != inverted
}
