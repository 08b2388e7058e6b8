package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"syntap/cmd/internal/hint"
	"syntap/stack/egress"
	"syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/route"
)

// Verdict is the decision on a destination.
type Verdict string

// The values of [Verdict].
const (
	Allow Verdict = "allow"
	Deny  Verdict = "deny"
)

// NameSource says how connections get the names that rules ask for.
type NameSource string

// The values of [NameSource].
const (
	NamesAuto    NameSource = "auto"    // NamesVirtual in exec where a rule has a name, else NamesDNS
	NamesVirtual NameSource = "virtual" // from addresses that stand for names; exec alone has them
	NamesDNS     NameSource = "dns"     // from DNS answers that passed for the client
	NamesOff     NameSource = "off"
)

// EgressRule is a rule of egress.rules.
type EgressRule struct {
	Name    []egress.Pattern   `yaml:"name,omitempty"`
	Dst     []netip.Prefix     `yaml:"dst,omitempty"`
	Ports   []packet.PortRange `yaml:"ports,omitempty"`
	Proto   string             `yaml:"proto,omitempty"` // tcp, udp, icmp; "": all of them
	UID     []route.UIDRange   `yaml:"uid,omitempty"`
	Verdict Verdict            `yaml:"verdict"`
	Reason  string             `yaml:"reason,omitempty"` // of a denial
	Line    int                `yaml:"-"`                // of the file; 0: the rule stands in none
	Flag    string             `yaml:"-"`                // of the command line, whose rules stand before a file's
}

var protocols = []flow.Proto{flow.TCP, flow.UDP, flow.ICMP}

// Rule returns the rule as package egress has it. place is for records.
func (r *EgressRule) Rule(place string) egress.Rule {
	e := egress.Rule{
		Names: r.Name, Dst: r.Dst, Ports: r.Ports, Deny: r.Verdict == Deny, Reason: r.Reason, Place: place,
	}
	for _, u := range r.UID {
		e.UIDs = append(e.UIDs, egress.UIDRange{First: u.First, Last: u.Last})
	}
	for _, p := range protocols {
		if p.String() == r.Proto {
			e.Protos = []flow.Proto{p}
		}
	}
	return e
}

// NewEgressRule returns the rule of a flag, such as --allow, for a TARGET of the command line.
func NewEgressRule(flag string, v Verdict, target string) (EgressRule, error) {
	e, err := egress.ParseTarget(target)
	if err != nil {
		return EgressRule{}, remedy("write it like pypi.org:443, *.example.com, 192.0.2.0/24:53/udp "+
			"or [2001:db8::1]:80-90/tcp", "%w", err)
	}
	r := EgressRule{Name: e.Names, Dst: e.Dst, Ports: e.Ports, Verdict: v, Flag: flag + " " + target}
	for _, p := range e.Protos {
		r.Proto = p.String()
	}
	return r, nil
}

// PortOrGroup returns an IPv6 address and a port if a TARGET is an address without brackets whose
// last group may be meant as the port of the rest, as in ::1:80.
func PortOrGroup(target string) (address, port string, ok bool) {
	target = strings.TrimSuffix(strings.TrimSuffix(target, "/tcp"), "/udp")
	i := strings.LastIndexByte(target, ':')
	if i < 0 {
		return "", "", false
	}
	address, port = target[:i], target[i+1:]
	a, err := netip.ParseAddr(address)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return address, port, err == nil && a.Is6() && portErr == nil && n > 0
}

// Place returns the place of a rule, for records and messages.
func (e *Egress) Place(i int) string { return e.place(i, e.flags()) }

// flags returns how many rules are of the command line.
func (e *Egress) flags() int {
	return sort.Search(len(e.Rules), func(n int) bool { return e.Rules[n].Flag == "" })
}

func (e *Egress) place(i, flags int) string {
	if i < flags {
		return e.Rules[i].Flag
	}
	return "egress.rules[" + strconv.Itoa(i-flags) + "]"
}

// HasRules reports whether rules or the default decide on destinations, beside deny and allow.
func (e *Egress) HasRules() bool { return len(e.Rules) > 0 || e.Default == Deny }

// HasNames reports whether a rule asks for names.
func (e *Egress) HasNames() bool {
	return slices.ContainsFunc(e.Rules, func(r EgressRule) bool { return len(r.Name) > 0 })
}

// HasUIDs reports whether a rule asks for users.
func (e *Egress) HasUIDs() bool {
	return slices.ContainsFunc(e.Rules, func(r EgressRule) bool { return len(r.UID) > 0 })
}

// NeedsNames reports whether rules or strict ask for the names of servers.
func (e *Egress) NeedsNames() bool { return e.Names != NamesOff && (e.Strict || e.HasNames()) }

// NeedsOwners reports whether rules ask for users, or for names, which local clients have by user.
func (e *Egress) NeedsOwners() bool { return e.NeedsNames() || e.HasUIDs() }

// Compile returns the rules and the default as package egress decides by them; nil where every
// destination is left to deny and allow.
func (e *Egress) Compile() *egress.Rules {
	if !e.HasRules() {
		return nil
	}
	rules, flags := make([]egress.Rule, 0, len(e.Rules)), e.flags()
	for i := range e.Rules {
		rules = append(rules, e.Rules[i].Rule(e.place(i, flags)))
	}
	return egress.Compile(rules, e.Default == Deny)
}

// LoadPolicy reads a policy: a file like a config's, which has the section egress alone.
func LoadPolicy(file string) (*Egress, error) {
	data, err := read(file, `"syntap exec --learn FILE" writes one`)
	if err != nil {
		return nil, err
	}
	return ParsePolicy(file, data)
}

// ParsePolicy resolves the policy in data. Errors name it by file and list all mistakes.
func ParsePolicy(file string, data []byte) (*Egress, error) {
	d := newDocument(file)
	c := Default()
	d.read(data, d.mapping(keys{"egress": d.egress(&c.Egress)}))
	d.validateEgress(&c.Egress)
	if len(d.problems) == 0 && !d.gives("egress") {
		return nil, hint.Usage(fmt.Errorf("%s: has no section egress", file), "")
	}
	if err := report(d.problems); err != nil {
		return nil, err
	}
	return &c.Egress, nil
}

// egress reads the section egress.
func (d *document) egress(e *Egress) reader {
	return d.mapping(keys{
		"interface":          value(d, &e.Interface, optional(parseInterface)),
		"dial_timeout":       value(d, &e.DialTimeout, parseDuration),
		"user_timeout":       value(d, &e.UserTimeout, parseUserTimeout),
		"keepalive_idle":     value(d, &e.KeepaliveIdle, parseKeepalive),
		"keepalive_interval": value(d, &e.KeepaliveInterval, parseKeepalive),
		"keepalive_probes":   value(d, &e.KeepaliveProbes, integer(1, 127)), // Linux's MAX_TCP_KEEPCNT
		"udp_timeout":        value(d, &e.UDPTimeout, parseDuration),
		"icmp_timeout":       value(d, &e.ICMPTimeout, parseDuration),
		"busy_poll":          value(d, &e.BusyPoll, parseBusyPoll),
		"deny":               addressSet(d, &e.Deny, Loopback, LinkLocal, LinkLocalForwarded, Host, Multicast),
		"allow":              addressSet(d, &e.Allow, Loopback, LinkLocal, Host, Multicast),
		"rules":              elements(d, &e.Rules, d.egressRules()),
		"default":            value(d, &e.Default, oneOf(Allow, Deny)),
		"names":              value(d, &e.Names, oneOf(NamesAuto, NamesVirtual, NamesDNS, NamesOff)),
		"strict":             value(d, &e.Strict, parseBool),
	})
}

// egressRules returns a function that reads a rule. Lists have thousands of them: the readers are
// made once.
func (d *document) egressRules() func(n node) EgressRule {
	var r EgressRule
	read := d.mapping(keys{
		"name":    oneOrMore(d, &r.Name, parsePattern),
		"dst":     oneOrMore(d, &r.Dst, parsePrefix),
		"ports":   oneOrMore(d, &r.Ports, parsePorts),
		"proto":   value(d, &r.Proto, parseProto),
		"uid":     oneOrMore(d, &r.UID, parseUIDs),
		"verdict": value(d, &r.Verdict, oneOf(Allow, Deny)),
		"reason":  value(d, &r.Reason, parseReason),
	})
	return func(n node) EgressRule {
		r = EgressRule{Line: n.Line}
		read(n)
		d.require(n, "verdict")
		return r
	}
}

func parsePattern(s string) (egress.Pattern, error) {
	p, err := egress.ParsePattern(s)
	if err != nil {
		return p, remedy("write it like example.com, or *.example.com for the names below it; "+
			"addresses stand under dst", "%s %w", quote(s), err)
	}
	return p, nil
}

func parseProto(s string) (string, error) {
	for _, p := range protocols {
		if p.String() == s {
			return s, nil
		}
	}
	return "", fmt.Errorf("%s is not one of %s", quote(s), join(protocols))
}

// maxReason keeps records short.
const maxReason = 200

func parseReason(s string) (string, error) {
	switch {
	case len(s) > maxReason:
		return "", fmt.Errorf("has %d bytes, at most %d", len(s), maxReason)
	case slices.ContainsFunc([]rune(s), func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", errors.New("has a control character")
	}
	return s, nil
}

func (d *document) validateEgress(e *Egress) {
	for i := range e.Rules {
		r := &e.Rules[i]
		blame := func(err error, key string) { d.blame(err, fmt.Sprintf("egress.rules[%d].%s", i, key)) }
		if r.Proto == flow.ICMP.String() && len(r.Ports) > 0 {
			blame(errors.New("can match nothing: icmp has no ports"), "ports")
		}
		if r.Reason != "" && r.Verdict == Allow {
			blame(errors.New("is for verdict deny"), "reason")
		}
		if e.Names == NamesOff && len(r.Name) > 0 {
			blame(remedy("leave out egress.names, or the rule", "can match nothing with names: off"), "name")
		}
	}
	if e.Strict && e.Names == NamesOff {
		d.blame(errors.New("has no effect with names: off"), "egress.strict")
	}
}
