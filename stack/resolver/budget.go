package resolver

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/publicsuffix"
)

// The names in questions can carry data out, and responses can carry data in. A tunnel asks many
// questions with long labels, or for types other than addresses. Each registrable domain may get a
// few of these at once, and one every two seconds after that: far less than a tunnel needs, and
// more than programs ask. Questions for addresses of short names do not count.
const (
	burst      = 60
	refill     = 2 * time.Second
	longLabel  = 30 // bytes: hexadecimal hashes have more, names that people choose less
	longName   = 80 // bytes before the registrable domain
	maxDomains = 1024
)

// budget has the number of questions that may carry data out, by domain.
type budget struct {
	mu      sync.Mutex
	domains map[string]*spending
}

type spending struct {
	debt     time.Duration // refill for each question
	at       time.Time
	asked    int // questions
	exceeded bool
}

// take subtracts a question from the budget of its domain and reports whether it may be asked. With
// the first one that may not, it returns the domain and the number of those before.
func (b *budget) take(q *query, now time.Time) (exceeded string, asked int, ok bool) {
	name := strings.TrimSuffix(q.name, ".")
	domain, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		domain = name // a public suffix itself, or a name without dots
	}
	if !carriesData(q.question.Type, strings.TrimSuffix(name, domain)) {
		return "", 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.domains[domain]
	if s == nil {
		if len(b.domains) >= maxDomains {
			b.forget(now)
		}
		s = &spending{at: now}
		b.domains[domain] = s
	}
	s.debt = max(0, s.debt-now.Sub(s.at))
	s.at = now
	if s.debt >= burst*refill {
		if s.exceeded {
			return "", 0, false
		}
		s.exceeded = true
		return domain, s.asked, false
	}
	s.debt += refill
	s.asked++
	return "", 0, true
}

// forget makes room: it removes domains that have their whole budget again or, if there is none,
// all.
func (b *budget) forget(now time.Time) {
	for domain, s := range b.domains {
		if now.Sub(s.at) >= s.debt {
			delete(b.domains, domain)
		}
	}
	if len(b.domains) >= maxDomains {
		clear(b.domains)
	}
}

// carriesData reports whether a question may carry data out by its labels before the registrable
// domain, or have data come in.
func carriesData(typ dnsmessage.Type, labels string) bool {
	switch typ {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeHTTPS, dnsmessage.TypePTR, dnsmessage.TypeSOA:
	default:
		return true
	}
	if len(labels) > longName {
		return true
	}
	for label := range strings.SplitSeq(labels, ".") {
		if len(label) >= longLabel {
			return true
		}
	}
	return false
}
