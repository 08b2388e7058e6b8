package filter

import (
	"net/netip"
	"slices"
	"strconv"

	"syntap/cmd/internal/format"
	"syntap/tap/handshake"
)

// stage says which record of a connection answers a key.
type stage uint8

const (
	ofOpening stage = iota // the opening, or the flow where it has the member too
	ofBoth                 // the opening has a part of the answer
	ofFlow                 // the flow
	ofTime                 // no test: the filter's Since or Until
)

// key is a key of the grammar.
type key struct {
	name  string
	stage stage
	words []string // its values, where it has a few
	parse func(value string) (test, error)
	value func(c *format.Connection) string // to group by; nil: it is no text
}

// keys are all keys.
var keys = []key{
	{"name", ofBoth, nil, nameOf(names), Name},
	{"sni", ofBoth, nil, nameOf(one(sni)), sni},
	{"query", ofBoth, nil, nameOf(queries), query},
	{"dst", ofOpening, nil, within(func(c *format.Connection) ends { return ends{server(c)} }), address(server)},
	{"src", ofOpening, nil, within(func(c *format.Connection) ends { return ends{client(c)} }), address(client)},
	{"addr", ofOpening, nil, within(func(c *format.Connection) ends { return ends{client(c), server(c)} }), nil},
	numbers("port", 1<<16-1, "port", func(c *format.Connection) (uint64, bool) { return uint64(server(c).Port()), true }),
	numbers("sport", 1<<16-1, "port", func(c *format.Connection) (uint64, bool) { return uint64(client(c).Port()), true }),
	word("proto", ofOpening, Protos(), func(c *format.Connection) string { return first(c).Proto.String() }),
	word("outcome", ofBoth, Outcomes(), (*format.Connection).Outcome),
	word("verdict", ofOpening, []string{"allow", "deny"}, func(c *format.Connection) string { return first(c).Verdict }),
	word("state", ofFlow, []string{"open", "ended", "unknown"}, state),
	text("process", ofOpening, func(c *format.Connection) string { return first(c).Owner.Process }),
	text("exe", ofOpening, func(c *format.Connection) string { return first(c).Owner.Exe }),
	text("user", ofOpening, user),
	numbers("uid", 1<<32-1, "user id", func(c *format.Connection) (uint64, bool) {
		return uint64(first(c).Owner.UID), first(c).Owner.Known
	}),
	numbers("pid", 1<<32-1, "process id", func(c *format.Connection) (uint64, bool) {
		return uint64(first(c).Owner.PID), first(c).Owner.PID != 0
	}),
	text("unit", ofOpening, func(c *format.Connection) string { return first(c).Owner.Unit }),
	text("container", ofOpening, func(c *format.Connection) string { return first(c).Owner.Container }),
	text("host", ofOpening, func(c *format.Connection) string { return first(c).Host }),
	text("rule", ofOpening, func(c *format.Connection) string { return first(c).Rule }),
	text("reason", ofOpening, func(c *format.Connection) string { return first(c).Reason }),
	text("rcode", ofFlow, func(c *format.Connection) string { return end(c).RCode }),
	word("close", ofFlow, []string{"fin", "rst", "timeout"}, func(c *format.Connection) string { return end(c).Close }),
	word("closed_by", ofFlow, []string{"client", "server", "router"},
		func(c *format.Connection) string { return end(c).ClosedBy }),
	{"bytes", ofFlow, nil, amount(parseSize, ofFlowRecord(func(r *format.Record) uint64 {
		return r.Bytes.Outbound + r.Bytes.Inbound
	})), nil},
	{"out", ofFlow, nil, amount(parseSize, ofFlowRecord(func(r *format.Record) uint64 { return r.Bytes.Outbound })), nil},
	{"in", ofFlow, nil, amount(parseSize, ofFlowRecord(func(r *format.Record) uint64 { return r.Bytes.Inbound })), nil},
	{"duration", ofFlow, nil, amount(parseDuration, ofFlowRecord(func(r *format.Record) uint64 {
		return uint64(max(r.Duration, 0))
	})), nil},
	{"connect", ofOpening, nil, amount(parseDuration, func(c *format.Connection) (int64, bool) {
		return int64(first(c).SYNACKDelay), first(c).SYNACKDelay >= 0
	}), nil},
	{"since", ofTime, nil, nil, nil},
	{"until", ofTime, nil, nil, nil},
}

// textKey is the key of words that stand for themselves.
var textKey = key{name: "text", stage: ofBoth}

func text(name string, s stage, value func(*format.Connection) string) key {
	return key{name, s, nil, like(value), value}
}

func word(name string, s stage, words []string, value func(*format.Connection) string) key {
	return key{name, s, words, oneOf(words, value), value}
}

func numbers(name string, most uint64, noun string, value func(*format.Connection) (uint64, bool)) key {
	return key{name, ofOpening, nil, inRange(most, noun, value), func(c *format.Connection) string {
		n, ok := value(c)
		if !ok {
			return ""
		}
		return strconv.FormatUint(n, 10)
	}}
}

func one(value func(*format.Connection) string) func(*format.Connection) []string {
	return func(c *format.Connection) []string { return []string{value(c)} }
}

func address(end func(*format.Connection) netip.AddrPort) func(*format.Connection) string {
	return func(c *format.Connection) string {
		if a := end(c).Addr(); a.IsValid() {
			return a.String()
		}
		return ""
	}
}

func ofFlowRecord(value func(*format.Record) uint64) func(*format.Connection) (int64, bool) {
	return func(c *format.Connection) (int64, bool) { return int64(value(end(c))), c.End != nil }
}

func keyOf(name string) *key {
	if i := slices.IndexFunc(keys, func(k key) bool { return k.name == name }); i >= 0 {
		return &keys[i]
	}
	return nil
}

// Keys returns the keys of the grammar.
func Keys() (names []string) {
	for _, k := range keys {
		names = append(names, k.name)
	}
	return names
}

// GroupKeys returns the keys whose values are text, by which connections can be grouped.
func GroupKeys() (names []string) {
	for _, k := range keys {
		if k.value != nil {
			names = append(names, k.name)
		}
	}
	return names
}

// Value returns the value of one of GroupKeys; "" where it is not known.
func Value(c *format.Connection, name string) string { return keyOf(name).value(c) }

// Words returns the values of a key that has a few; nil for another.
func Words(name string) []string {
	if k := keyOf(name); k != nil {
		return k.words
	}
	return nil
}

// Outcomes returns the outcomes of handshakes and of flows without one.
func Outcomes() (words []string) {
	for _, o := range handshake.Outcomes() {
		words = append(words, string(o))
	}
	return append(words, "answered")
}

// Protos returns the protocols of connections.
func Protos() []string { return []string{"tcp", "udp", "icmp"} }

// decided reports whether no later record can change the answer of a key.
func (k *key) decided(c *format.Connection) bool {
	switch {
	case k.stage == ofOpening || c.State != format.Alive:
		return true
	case k.name == "outcome":
		return c.Outcome() != ""
	}
	return false
}
