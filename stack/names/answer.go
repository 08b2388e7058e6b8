package names

import (
	"net/netip"
	"strings"
	"time"

	"syntap/tun/flow"
)

// Types of resource records that lead to addresses.
const (
	typeA     flow.RRType = 1
	typeCNAME flow.RRType = 5
	typeAAAA  flow.RRType = 28
	typeSVCB  flow.RRType = 64
	typeHTTPS flow.RRType = 65
)

// Bounds of one answer.
const (
	maxChain = 16 // aliases in a row; resolvers follow fewer
	maxFound = 256
)

// answer is the content of a response about the name in its question.
type answer struct {
	name  string
	found []found
}

// found is an address of the name, or a target whose addresses are the name's.
type found struct {
	addr   netip.Addr
	target string
	ttl    time.Duration
}

// read returns the answer in a response. It reports false where there is none.
func read(d *flow.DNS) (a answer, ok bool) {
	if !d.Response || d.RCode != 0 || len(d.Queries) != 1 {
		return a, false
	}
	q := d.Queries[0]
	a.name = q.Name
	if q.Type == typeSVCB || q.Type == typeHTTPS {
		a.name = withoutAttributes(q.Name)
	}
	if a.name == "" || a.name == "." {
		return a, false
	}
	end, ttl := follow(d.Answers, q.Name)
	for i := range d.Answers {
		if r := &d.Answers[i]; r.Name == end && len(a.found) < maxFound {
			a.read(r, min(ttl, lifetime(r.TTL)))
		}
	}
	if len(a.found) == 0 && end != q.Name && q.Type == typeA {
		// A resolver that asks authoritative servers asks for the end of the chain next. With other
		// types the chain mostly is whole and ends at a name without records of the type.
		a.addTarget(end, ttl)
	}
	return a, len(a.found) > 0
}

// follow returns the end of the chain of aliases that begins at a name, and the smallest TTL on it.
func follow(records []flow.Record, name string) (end string, ttl time.Duration) {
	ttl = MaxTTL
	for range maxChain {
		next := cname(records, name)
		if next == nil {
			break
		}
		name, ttl = next.Data, min(ttl, lifetime(next.TTL))
	}
	return name, ttl
}

func cname(records []flow.Record, name string) *flow.Record {
	for i := range records {
		if r := &records[i]; r.Type == typeCNAME && r.Name == name {
			return r
		}
	}
	return nil
}

// read adds the addresses and targets in a record at the end of the chain.
func (a *answer) read(r *flow.Record, ttl time.Duration) {
	switch r.Type {
	case typeA, typeAAAA:
		a.addAddr(r.Data, ttl)
	case typeSVCB, typeHTTPS:
		a.readService(r.Data, ttl)
	}
}

// readService reads a record in its presentation form: priority, target and parameters (RFC 9460
// §2.1).
func (a *answer) readService(data string, ttl time.Duration) {
	_, data, _ = strings.Cut(data, " ")
	target, parameters, _ := strings.Cut(data, " ")
	if target = strings.TrimSuffix(target, "."); target != "" {
		a.addTarget(target, ttl)
	}
	for p := range strings.SplitSeq(parameters, " ") {
		key, value, _ := strings.Cut(p, "=")
		if key != "ipv4hint" && key != "ipv6hint" {
			continue
		}
		for hint := range strings.SplitSeq(strings.Trim(value, `"`), ",") {
			a.addAddr(hint, ttl)
		}
	}
}

func (a *answer) addAddr(text string, ttl time.Duration) {
	addr, err := netip.ParseAddr(text)
	if err == nil && !addr.IsUnspecified() && len(a.found) < maxFound {
		a.found = append(a.found, found{addr: addr.Unmap().WithZone(""), ttl: ttl})
	}
}

func (a *answer) addTarget(name string, ttl time.Duration) {
	if name != a.name && len(a.found) < maxFound {
		a.found = append(a.found, found{target: name, ttl: ttl})
	}
}

// lifetime returns a TTL in seconds as a duration. One with the highest bit set is 0 (RFC 2181 §8).
func lifetime(seconds uint32) time.Duration {
	if seconds >= 1<<31 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, MaxTTL)
}

// withoutAttributes returns the name of the service that a question for its SVCB or HTTPS record
// means, such as example.com for _8443._https.example.com (RFC 9460 §2.3).
func withoutAttributes(name string) string {
	for strings.HasPrefix(name, "_") {
		_, name, _ = strings.Cut(name, ".")
	}
	return name
}
