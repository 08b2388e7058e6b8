package attempt

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"syntap/cmd/internal/record"
	"syntap/stack/egress"
	"syntap/tun/flow"
)

// maxLearned is how many servers and names are learned; a policy with all of them can be read.
const maxLearned = 2048

// Learned keeps the servers that a command reached, and the names that it had resolved, for a
// policy that allows them. It is safe for concurrent use.
type Learned struct {
	mu       sync.Mutex // guards all below
	places   map[place]*uses
	resolved map[string]*uses // names with an answer
	denied   map[string]bool  // names
	more     int              // attempts that found no place
}

// place is a server or name, and its ports; without either any port.
type place struct {
	name string     // "" = addr
	addr netip.Addr // the zero value with a name
	flow.Proto
	port uint16 // 0 with ICMP
}

// uses are counts by process.
type uses map[string]int

// NewLearned returns an empty collection.
func NewLearned() *Learned {
	return &Learned{
		places: make(map[place]*uses), resolved: make(map[string]*uses), denied: make(map[string]bool),
	}
}

// Add takes an attempt.
func (l *Learned) Add(a *Attempt) {
	name := strings.ToLower(strings.TrimSuffix(a.Name, "."))
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.Denied() && len(l.denied) < maxLearned:
		l.denied[name] = true
	case a.Denied(), a.Nameserver, a.Question, a.Server.Port() == 0 && a.Proto != flow.ICMP:
	default:
		p := place{name: name, Proto: a.Proto, port: a.Server.Port()}
		if !isPattern(name) {
			p.name, p.addr = "", a.Server.Addr().Unmap().WithZone("")
		}
		count(l, l.places, p, a.Process())
	}
}

// Resolve takes a response to a DNS query of a client, of which the owner may be nil.
func (l *Learned) Resolve(o *record.Owner, response *flow.DNS) {
	if len(response.Answers) == 0 {
		return
	}
	a := Attempt{Owner: o}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, asked := range response.Queries {
		if name := strings.ToLower(strings.TrimSuffix(asked.Name, ".")); isPattern(name) {
			count(l, l.resolved, name, a.Process())
		}
	}
}

func isPattern(name string) bool {
	_, err := egress.ParsePattern(name)
	return err == nil && !strings.Contains(name, "*")
}

// count counts a use; l.mu is locked.
func count[K comparable](l *Learned, all map[K]*uses, key K, process string) {
	u := all[key]
	if u == nil {
		if len(all) == maxLearned {
			l.more++
			return
		}
		u = new(make(uses))
		all[key] = u
	}
	if _, known := (*u)[process]; !known && len(*u) >= maxProcesses {
		process = ""
	}
	(*u)[process]++
}

// maxProcesses is how many processes of one place are named.
const maxProcesses = 4

// String returns the counts, such as "3 by curl, 1 by git".
func (u uses) String() string {
	processes := slices.SortedFunc(maps.Keys(u), func(a, b string) int {
		return cmp.Or(cmp.Compare(u[b], u[a]), strings.Compare(a, b))
	})
	var words []string
	for _, p := range processes {
		words = append(words, fmt.Sprintf("%d by %s", u[p], cmp.Or(p, "unknown programs")))
	}
	return strings.Join(words, ", ")
}

func (u uses) add(v uses) {
	for process, n := range v {
		u[process] += n
	}
}
