package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/tun/flow"
)

// groupings are the members by which connections can be grouped; "" = not.
var groupings = []string{"", "name", "process", "destination", "outcome"}

// group is the connections that have a value in common.
type group struct {
	value          string // "" = unknown
	first          *row
	number         int
	failed, open   int
	sent, received uint64
	lasted         time.Duration // together
	latest         time.Time
}

// groups groups connections.
func groups(all []*row, by, order string) []*group {
	found := make(map[string]*group)
	var list []*group
	for _, r := range all {
		value := r.groupValue(by)
		g := found[value]
		if g == nil {
			g = &group{value: value, first: r}
			found[value] = g
			list = append(list, g)
		}
		g.add(r)
	}
	slices.SortStableFunc(list, func(a, b *group) int { return compareGroups(order, b, a) })
	return list
}

// compareGroups compares two groups in an order.
func compareGroups(order string, a, b *group) int {
	switch order {
	case "received":
		return cmp.Compare(a.received, b.received)
	case "sent":
		return cmp.Compare(a.sent, b.sent)
	case "lasted":
		return cmp.Compare(a.lasted, b.lasted)
	}
	return cmp.Compare(a.number, b.number)
}

func (g *group) add(r *row) {
	g.number++
	switch r.Outcome() {
	case "established", "answered", "":
	default:
		g.failed++
	}
	if r.State == format.Alive {
		g.open++
	}
	if r.End != nil {
		g.sent += r.End.Bytes.Outbound
		g.received += r.End.Bytes.Inbound
		g.lasted += r.End.Duration
	}
	if t := r.Start(); t.After(g.latest) {
		g.latest = t
	}
}

func (r *row) groupValue(by string) string {
	switch by {
	case "name":
		return filter.Name(&r.Connection)
	case "process":
		return r.first().Owner.Process
	case "destination":
		f := r.first()
		return endpoint(f.Server, f.Proto) + suffix(f.Proto)
	}
	return r.outcome()
}

// terms returns the filter that asks for a group.
func (g *group) terms(by string) string {
	switch {
	case by == "destination":
		f := g.first.first()
		terms := fmt.Sprintf("dst:%s proto:%s", f.Server.Addr(), f.Proto)
		if f.Proto != flow.ICMP {
			terms += fmt.Sprintf(" port:%d", f.Server.Port())
		}
		return terms
	case by == "outcome" && g.first.Outcome() == "":
		return "state:" + g.value + " !established"
	case g.value == "":
		return "!" + by + ":*"
	}
	return by + ":" + quoted(g.value)
}

// quoted writes a value so that it stands for itself.
func quoted(value string) string {
	if strings.ContainsAny(value, " \t\",\\") || strconv.Quote(value) != `"`+value+`"` {
		return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(value) + `"`
	}
	return value
}
