package attempt

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/record"
	"syntap/stack/egress"
	"syntap/tun/flow"
)

// Attempt is an attempt of a client to reach a server, or to have a name resolved.
type Attempt struct {
	Time     time.Time
	Proto    flow.Proto
	Name     string         // by which the client knows the server, or for which it asks; "" = none
	Server   netip.AddrPort // as dialled or denied, without a name as addressed; an echo has port 0
	Question bool           // it asks for Name, and policy has answered

	Nameserver bool           // Server is one of those that a command has for the DNS, as it addressed them
	Owner      *record.Owner  // nil = unknown
	Decision   *flow.Decision // of policy; nil = none was asked
}

// OfHandshake returns the attempt of a handshake.
func OfHandshake(r *record.Attributed) Attempt {
	a := Attempt{Time: r.Time, Proto: flow.TCP, Server: r.Server}
	a.open(r.Opening)
	if u := r.Upstream; u != nil {
		a.Decision = u.Decision
		a.dialled(u.Remote.Addr())
	}
	return a.atReal()
}

// OfDatagram returns the attempt of a flow without a handshake.
func OfDatagram(d *record.AttributedDatagram) Attempt {
	a := Attempt{Time: d.Time, Proto: d.Proto, Server: d.Server, Decision: d.Decision}
	a.open(d.Opening)
	a.dialled(d.Upstream.Addr())
	return a.atReal()
}

// dialled notes the real address of the name that the server stands for. Without a name the address
// may stand for one of the host's, and rules are about that which the command knows.
func (a *Attempt) dialled(real netip.Addr) {
	if a.Name != "" && real.IsValid() {
		a.Server = netip.AddrPortFrom(real, a.Server.Port())
	}
}

// atReal returns an attempt at the address that policy denies, not at the one that stands for it.
func (a Attempt) atReal() Attempt {
	if d := a.Decision; d != nil && d.Real.IsValid() {
		a.Server = netip.AddrPortFrom(d.Real, a.Server.Port())
	}
	return a
}

// strictKey is the key of the config that forbids other names than that of a connection.
const strictKey = "egress.strict"

// OfContradiction returns the attempt of a flow whose client says another name than the flow's, or
// none that can be read. remote is the far side.
func OfContradiction(f *flow.Flow, remote netip.AddrPort, now time.Time) Attempt {
	a := Attempt{Time: now, Proto: f.Proto(), Server: f.Server}
	if remote.IsValid() {
		a.Server = netip.AddrPortFrom(remote.Addr(), f.Server.Port())
	}
	a.open(record.AsOpening(f.Opening))
	d := &flow.Decision{Deny: true, Rule: strictKey}
	switch {
	case f.HTTPHost != "":
		d.Reason = "its HTTP request is for " + f.HTTPHost
	case f.Hello != nil:
		d.Reason = "its TLS asks for " + f.Hello.SNI
	default:
		d.Reason = "its first bytes say no name that can be read"
	}
	a.Decision = d
	return a
}

func (a *Attempt) open(o *record.Opening) {
	if o == nil {
		return
	}
	a.Owner = o.Owner
	if o.Name != nil {
		a.Name = o.Name.Name
	}
}

// Denied reports whether policy denies the attempt.
func (a *Attempt) Denied() bool { return a.Decision != nil && a.Decision.Deny }

// Process returns the name of the client's program; "" = unknown.
func (a *Attempt) Process() string {
	if a.Owner == nil {
		return ""
	}
	return a.Owner.Process
}

// Target returns the attempt in the form of egress.ParseTarget, by name if there is one.
func (a *Attempt) Target() string {
	if a.Question {
		return cmp.Or(a.name(), ".")
	}
	return a.target(a.name())
}

func (a *Attempt) name() string { return strings.ToLower(strings.TrimSuffix(a.Name, ".")) }

// target returns the attempt with a host, or without one with its address.
func (a *Attempt) target(host string) string {
	if host == "" {
		host = a.Server.Addr().Unmap().WithZone("").String()
	}
	if a.Proto == flow.ICMP {
		return host + "/icmp"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	host += ":" + strconv.Itoa(int(a.Server.Port()))
	if a.Proto != flow.TCP {
		host += "/" + a.Proto.String()
	}
	return host
}

// remedy returns the flag that allows the attempt, and more words on it. The flag is empty where
// none does: a first --allow would deny all else.
func (a *Attempt) remedy(denies bool) (flag, hint string) {
	target, name := a.Target(), a.name()
	switch rule := a.Decision.Rule; {
	case strings.HasPrefix(rule, "--deny "):
		return "", "leave out " + rule
	case rule == strictKey:
		return "", strictKey + ": false lets it pass"
	case rule == "egress.deny" && a.Question, rule == "egress.deny" && !denies:
		return "", "egress.allow makes exceptions"
	case rule == "egress.deny":
		target, name, hint = a.target(""), "", "as the first of the rules"
	case rule == "egress.names":
		return "", "the program must ask for the name again"
	case rule != "default" && !denies:
		return "", "put a rule that allows it ahead of " + rule
	}
	if !isPlain(target, name) {
		return "", "its name cannot stand in a rule"
	}
	return "--allow " + target, hint
}

// isPlain reports whether a target can stand in a rule for this name, "" for an address, and on a
// command line without quotes. The DNS may be asked for any bytes, such as 0.0.0.0/0.
func isPlain(target, name string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyz0123456789.-_:/[]"
	rule, err := egress.ParseTarget(target)
	if err != nil || name != "" && (len(rule.Names) != 1 || rule.Names[0].String() != name) {
		return false
	}
	return !strings.ContainsFunc(target, func(r rune) bool { return !strings.ContainsRune(plain, r) })
}
