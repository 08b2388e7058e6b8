package attempt

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"syntap/cmd/internal/terminal"
	"syntap/tun/flow"
)

// siblings is how many names of one domain stand for all of them.
const siblings = 3

// rule is a rule of a policy.
type rule struct {
	name    string     // "" = addr
	addr    netip.Addr // the zero value with a name
	ports   []uint16   // ascending
	passive bool       // and all from 1024, of which the server chooses one for each transfer
	proto   string     // "" = any
	uses    uses
	instead []string // names for which name, a wildcard, stands
	asked   bool     // it was resolved, and no connection made
}

// Policy returns the policy that allows all that was learned, the section egress of a config, and
// the number of its rules. The command line is for its head.
func (l *Learned) Policy(command []string, now time.Time) (text string, rules int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.rules()
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by \"syntap exec --learn\" on %s, from one run of\n#     %s\n",
		now.Format("2006-01-02"), terminal.Clean(strings.Join(command, " ")))
	b.WriteString("# It allows the servers that this run tried to reach, and nothing else.\n")
	if l.more > 0 {
		fmt.Fprintf(&b, "# It lacks %d attempts: there were more servers than it takes.\n", l.more)
	}
	b.WriteString("egress:\n  default: deny\n  rules:")
	if len(all) == 0 {
		b.WriteString(" []")
	}
	b.WriteString("\n")
	for i := range all {
		all[i].write(&b)
	}
	return b.String(), len(all)
}

func (r *rule) write(b *strings.Builder) {
	comment := r.uses.String()
	switch {
	case r.asked:
		comment += ", resolved and not connected to"
	case r.instead != nil:
		comment += ", in the place of " + strings.Join(r.instead[:min(8, len(r.instead))], ", ")
		if n := len(r.instead) - 8; n > 0 {
			comment += fmt.Sprintf(" and %d more", n)
		}
	case r.name == "":
		comment += ", a literal address: there was no name that it could be known by"
	}
	if r.passive {
		comment += ", FTP with a port for each transfer"
	}
	fmt.Fprintf(b, "    # %s\n    - {", terminal.Clean(comment))
	if r.name != "" {
		fmt.Fprintf(b, "name: %q", r.name)
	} else {
		fmt.Fprintf(b, "dst: %q", r.addr)
	}
	if len(r.ports) > 0 {
		b.WriteString(", ports: " + r.portList())
	}
	if r.proto != "" {
		b.WriteString(", proto: " + r.proto)
	}
	b.WriteString(", verdict: allow}\n")
}

func (r *rule) portList() string {
	var words []string
	for _, p := range r.ports {
		words = append(words, strconv.Itoa(int(p)))
	}
	if r.passive {
		words = append(words, "1024-65535")
	}
	if len(words) == 1 {
		return words[0]
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// rules returns the rules: names, then literal addresses.
func (l *Learned) rules() (all []rule) {
	byServer := make(map[place]*rule) // without port
	reached := make(map[string]bool)
	for p, u := range l.places {
		server := p
		server.port = 0
		r := byServer[server]
		if r == nil {
			r = &rule{name: p.name, addr: p.addr, proto: p.Proto.String(), uses: make(uses)}
			byServer[server] = r
		}
		if p.Proto != flow.ICMP {
			r.ports = append(r.ports, p.port)
		}
		r.uses.add(*u)
		reached[p.name] = true
	}
	for _, r := range byServer {
		slices.Sort(r.ports)
		r.findPassive()
		all = append(all, *r)
	}
	for name, u := range l.resolved {
		if !reached[name] { // a rule for the DNS alone
			all = append(all, rule{name: name, ports: []uint16{portDNS}, uses: *u, asked: true})
		}
	}
	all = l.widen(all)
	slices.SortFunc(all, func(a, b rule) int {
		return cmp.Or(a.addr.Compare(b.addr), strings.Compare(a.name, b.name),
			strings.Compare(a.proto, b.proto), cmp.Compare(len(a.ports), len(b.ports)))
	})
	return all
}

const (
	portFTP = 21
	portDNS = 53

	firstUserPort = 1024 // RFC 6335 §6
)

// findPassive has a rule allow all ports that an FTP server may choose for transfers (RFC 959
// §3.2), where it has chosen one.
func (r *rule) findPassive() {
	chosen := func(p uint16) bool { return p >= firstUserPort }
	if slices.Contains(r.ports, portFTP) && slices.ContainsFunc(r.ports, chosen) {
		r.ports, r.passive = slices.DeleteFunc(r.ports, chosen), true
	}
}

// widen has one rule with a wildcard stand for those of siblings that are otherwise the same.
func (l *Learned) widen(all []rule) (wider []rule) {
	type kin struct{ domain, ports, proto string }
	families := make(map[kin][]rule)
	for _, r := range all {
		_, domain, _ := strings.Cut(r.name, ".")
		if r.asked || !l.isOneOwners(r.name, domain) {
			wider = append(wider, r)
			continue
		}
		k := kin{domain, r.portList(), r.proto}
		families[k] = append(families[k], r)
	}
	for k, family := range families {
		if len(family) < siblings {
			wider = append(wider, family...)
			continue
		}
		r := rule{name: "*." + k.domain, ports: family[0].ports, passive: family[0].passive, proto: k.proto, uses: make(uses)}
		for _, f := range family {
			r.instead = append(r.instead, f.name)
			r.uses.add(f.uses)
		}
		slices.Sort(r.instead)
		wider = append(wider, r)
	}
	return wider
}

// isOneOwners reports whether the names below a domain, of which name is one, are of one owner, and
// none of them was denied. Below a public suffix, of a registry or of a host of many customers,
// they are not.
func (l *Learned) isOneOwners(name, domain string) bool {
	if domain == "" || len(l.denied) == maxLearned || isPublicSuffix(domain) || isPublicSuffix(name) {
		return false
	}
	for denied := range l.denied {
		if strings.HasSuffix(denied, "."+domain) {
			return false
		}
	}
	return true
}

func isPublicSuffix(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}
