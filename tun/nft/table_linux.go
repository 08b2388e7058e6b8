package nft

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Table is one table of the family inet.
type Table struct {
	Name   string
	Sets   []Set
	Chains []Chain // a chain stands before those that jump to it
}

// Set is a named set. Elements are in the order of Type's fields, each in network byte order, or
// the host's for [InterfaceIndex] and [UID].
type Set struct {
	Name     string
	Type     Type
	Interval bool    // elements are ranges
	Elements []Range // last = first where Interval is not set
	Size     uint32  // of a set that packets fill, with a counter for each element; 0 = fixed
	// Timeout is how long an element lasts that packets have filled in; 0 = for ever.
	Timeout time.Duration
}

// Range is an element of a set, both ends included, with the text that nft prints for it.
type Range struct {
	First, Last []byte
	Text        string
}

// Type is the type of the elements of a set.
type Type struct {
	text  string
	data  nftables.SetDatatype
	order binaryutil.ByteOrder // of the bytes of an element
}

// The types of elements.
var (
	IPv4Addr       = Type{"ipv4_addr", nftables.TypeIPAddr, binaryutil.BigEndian}
	IPv6Addr       = Type{"ipv6_addr", nftables.TypeIP6Addr, binaryutil.BigEndian}
	InterfaceIndex = Type{"iface_index", nftables.TypeIFIndex, binaryutil.NativeEndian}
	InterfaceName  = Type{"ifname", nftables.TypeIFName, binaryutil.NativeEndian}
	UID            = Type{"uid", nftables.TypeUID, binaryutil.NativeEndian}
	Port           = Type{"inet_service", nftables.TypeInetService, binaryutil.BigEndian}
)

// Concat is the type of elements that consist of several fields.
func Concat(types ...Type) Type {
	var texts []string
	var data []nftables.SetDatatype
	for _, t := range types {
		texts = append(texts, t.text)
		data = append(data, t.data)
	}
	return Type{strings.Join(texts, " . "), nftables.MustConcatSetType(data...), nil}
}

// Chain is a chain with its rules. Hook is nil for one that others jump to.
type Chain struct {
	Name  string
	Hook  *Hook
	Rules []Rule
}

// Hook attaches a chain to the path of packets.
type Hook struct {
	Type     string // "filter", "route" or "nat"
	At       string // "prerouting", "forward", "output" or "postrouting"
	Priority int
}

// Rule is a list of statements; each is carried out if all before it match.
type Rule []Statement

// Statement is a part of a rule, as nft writes it and as the kernel takes it.
type Statement struct {
	text  string
	exprs []expr.Any
}

func (r Rule) String() string {
	var texts []string
	for _, s := range r {
		texts = append(texts, s.text)
	}
	return strings.Join(texts, " ")
}

// Text returns the table in the syntax of nft(8).
func (t *Table) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", t.Name)
	for _, s := range t.Sets {
		fmt.Fprintf(&b, "\tset %s {\n\t\ttype %s\n", s.Name, s.Type.text)
		switch {
		case s.Size > 0:
			fmt.Fprintf(&b, "\t\tsize %d\n\t\tflags dynamic\n\t\tcounter\n", s.Size)
			if s.Timeout > 0 {
				fmt.Fprintf(&b, "\t\ttimeout %.0fs\n", s.Timeout.Seconds())
			}
		case s.Interval:
			b.WriteString("\t\tflags interval\n")
		}
		if len(s.Elements) > 0 {
			var texts []string
			for _, e := range s.Elements {
				texts = append(texts, e.Text)
			}
			fmt.Fprintf(&b, "\t\telements = { %s }\n", strings.Join(texts, ", "))
		}
		b.WriteString("\t}\n")
	}
	for _, c := range t.Chains {
		fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
		if c.Hook != nil {
			fmt.Fprintf(&b, "\t\ttype %s hook %s priority %d; policy accept;\n", c.Hook.Type, c.Hook.At, c.Hook.Priority)
		}
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "\t\t%s\n", r)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}
