package egress

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Rule allows or denies the flows that meet all its conditions. An empty list is no condition.
type Rule struct {
	Names  []Pattern
	Dst    []netip.Prefix     // of the server's address; also of the IPv4 address that it embeds
	Ports  []packet.PortRange // of the server; ICMP has none
	Protos []flow.Proto
	UIDs   []UIDRange // of the client, if it is a program of this host

	Deny   bool
	Reason string // of a denial, one sentence without final period; "" makes one
	Place  string // for records: where the rule stands, such as "egress.rules[2]"
}

// UIDRange is the user ids from First to Last.
type UIDRange struct{ First, Last uint32 }

// String returns the range as a config has it.
func (r UIDRange) String() string {
	s := strconv.FormatUint(uint64(r.First), 10)
	if r.Last != r.First {
		s += "-" + strconv.FormatUint(uint64(r.Last), 10)
	}
	return s
}

func (r UIDRange) contains(o UIDRange) bool { return r.First <= o.First && o.Last <= r.Last }

// String says the rule in words, such as "allow example.com, port 443, tcp".
func (r *Rule) String() string {
	words := []string{"allow"}
	if r.Deny {
		words[0] = "deny"
	}
	add := func(prefix string, all []string) {
		if len(all) > 0 {
			words = append(words, prefix+strings.Join(all, " or "))
		}
	}
	add("", texts(r.Names))
	add("", texts(r.Dst))
	add("port ", texts(r.Ports))
	add("", texts(r.Protos))
	add("user ", texts(r.UIDs))
	if len(words) == 1 {
		return words[0] + " everything"
	}
	return words[0] + " " + strings.Join(words[1:], ", ")
}

func texts[T fmt.Stringer](all []T) (s []string) {
	for _, v := range all {
		s = append(s, v.String())
	}
	return s
}

// covers reports whether each flow that o matches is one that r does, and o is no exception that r
// is not.
func (r *Rule) covers(o *Rule) bool {
	return (r.Deny || r.isException() || !o.isException()) && coversAll(r.Names, o.Names, Pattern.covers) &&
		coversAll(r.Dst, o.Dst, func(p, q netip.Prefix) bool {
			return p.Bits() <= q.Bits() && p.Contains(q.Addr())
		}) &&
		coversAll(r.Ports, o.Ports, packet.PortRange.Contains) &&
		coversAll(r.Protos, o.Protos, func(p, q flow.Proto) bool { return p == q }) &&
		coversAll(r.UIDs, o.UIDs, UIDRange.contains)
}

func coversAll[T any](list, other []T, covers func(a, b T) bool) bool {
	if len(list) == 0 {
		return true
	}
	if len(other) == 0 {
		return false
	}
	for _, o := range other {
		if !slices.ContainsFunc(list, func(l T) bool { return covers(l, o) }) {
			return false
		}
	}
	return true
}

// allAddresses reports whether the rule's prefixes have all addresses of a family.
func (r *Rule) allAddresses() bool {
	isAll := func(p netip.Prefix) bool { return p.Bits() == 0 }
	return len(r.Dst) == 0 || slices.ContainsFunc(r.Dst, isAll)
}
