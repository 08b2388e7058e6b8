package names

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"syntap/tun/flow"
)

// reference is a naive table without bounds: a list of all that clients were told, latest last.
type reference struct {
	told []telling
	open []place
}

// place is an address, or a target, as a client knows it.
type place struct {
	client Client
	addr   netip.Addr
	target string
}

type telling struct {
	place
	name         string
	asked, until time.Time
}

// forget takes away all that is over.
func (r *reference) forget(now time.Time) {
	r.told = slices.DeleteFunc(r.told, func(t telling) bool {
		return !t.until.After(now) && !slices.Contains(r.open, t.place)
	})
}

func (r *reference) learn(c Client, d *flow.DNS, now time.Time) {
	r.forget(now)
	a, ok := read(d)
	if !ok {
		return
	}
	origins := r.names(place{client: c, target: a.name})
	slices.Reverse(origins)
	for _, f := range a.found {
		for _, name := range append([]string{a.name}, origins...) {
			r.tell(telling{place{c, f.addr, f.target}, name, now, now.Add(f.ttl + Grace)})
		}
	}
}

func (r *reference) tell(t telling) {
	same := func(u telling) bool { return u.place == t.place && u.name == t.name }
	if i := slices.IndexFunc(r.told, same); i >= 0 {
		if r.told[i].until.After(t.until) {
			t.until = r.told[i].until
		}
		r.told = slices.Delete(r.told, i, i+1)
	}
	r.told = append(r.told, t)
}

// names returns the names of places, latest first.
func (r *reference) names(places ...place) (all []string) {
	told := slices.Clone(r.told)
	slices.Reverse(told)
	slices.SortStableFunc(told, func(a, b telling) int {
		return cmp.Or(b.asked.Compare(a.asked),
			slices.Index(places, a.place)-slices.Index(places, b.place))
	})
	for _, t := range told {
		if slices.Contains(places, t.place) && !slices.Contains(all, t.name) {
			all = append(all, t.name)
		}
	}
	return all
}

// begin returns the names of an address, and the places in use.
func (r *reference) begin(c Client, a netip.Addr, now time.Time) (all []string, places []place) {
	r.forget(now)
	places = []place{{client: c, addr: a}}
	if c.kind == user || c.kind == unknownUser {
		places = append(places, place{client: AllUsers(), addr: a})
	}
	all = r.names(places...)
	places = slices.DeleteFunc(places, func(p place) bool { return len(r.names(p)) == 0 })
	r.open = append(r.open, places...)
	r.use(places, now)
	return all, places
}

func (r *reference) end(places []place, now time.Time) {
	r.forget(now)
	r.use(places, now)
	for _, p := range places {
		i := slices.Index(r.open, p)
		r.open = slices.Delete(r.open, i, i+1)
	}
}

func (r *reference) use(places []place, now time.Time) {
	for i := range r.told {
		t := &r.told[i]
		if until := now.Add(Grace); slices.Contains(places, t.place) && until.After(t.until) {
			t.until = until
		}
	}
}

// actions are done on a table and its reference alike, as bytes say.
type actions struct {
	bytes []byte
	table *Table
	ref   reference
	now   time.Time
	uses  []use
}

type use struct {
	Use
	places []place
}

// pick returns a number below n.
func (a *actions) pick(n int) int {
	if len(a.bytes) == 0 {
		return 0
	}
	b := a.bytes[0]
	a.bytes = a.bytes[1:]
	return int(b) % n
}

func (a *actions) client() Client {
	return []Client{alice, bob, User(0), User(1), UnknownUser(), AllUsers()}[a.pick(6)]
}

func (a *actions) addr() netip.Addr {
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(a.pick(4))})
}

func (a *actions) name() string { return fmt.Sprintf("n%d.example", a.pick(5)) }

// answer returns a response of some records, which may say anything about the same few names and
// addresses.
func (a *actions) answer() *flow.DNS {
	d := &flow.DNS{Response: true, Queries: []flow.Question{{Name: a.name(), Type: typeA}}}
	if a.pick(4) == 0 {
		d.Queries[0].Type = typeHTTPS
	}
	for range a.pick(4) {
		r := flow.Record{Name: a.name(), TTL: uint32(a.pick(200))}
		switch a.pick(4) {
		case 0:
			r.Type, r.Data = typeCNAME, a.name()
		case 1:
			r.Type, r.Data = typeHTTPS, fmt.Sprintf("1 %s ipv4hint=%v,%v", a.name(), a.addr(), a.addr())
		default:
			r.Type, r.Data = typeA, a.addr().String()
		}
		d.Answers = append(d.Answers, r)
	}
	return d
}

// run does all actions and compares the table with the reference after each.
func (a *actions) run(t *testing.T) {
	t.Helper()
	for len(a.bytes) > 0 {
		a.now = a.now.Add(time.Duration(a.pick(40)) * time.Second)
		switch a.pick(4) {
		case 0, 1:
			c, d := a.client(), a.answer()
			a.table.Learn(c, d, a.now)
			a.ref.learn(c, d, a.now)
		case 2:
			a.begin(t, a.client(), a.addr())
		case 3:
			a.end()
		}
	}
	for len(a.uses) > 0 {
		a.end()
	}
	if got := a.table.Stats(); got.Open != 0 || got.Evicted != 0 {
		t.Errorf("at the end %+v, want none open or evicted", got)
	}
}

func (a *actions) begin(t *testing.T, c Client, addr netip.Addr) {
	t.Helper()
	n, u := a.table.Begin(c, addr, a.now)
	var got []string
	if n.Name != "" {
		got = append([]string{n.Name}, n.Others...)
	}
	want, places := a.ref.begin(c, addr, a.now)
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("names of %v for %v at %v (-want +got):\n%s", addr, c, a.now.Sub(a.table.epoch), diff)
	}
	a.uses = append(a.uses, use{u, places})
}

func (a *actions) end() {
	if len(a.uses) == 0 {
		return
	}
	i := a.pick(len(a.uses))
	u := a.uses[i]
	a.uses = slices.Delete(a.uses, i, i+1)
	a.table.End(u.Use, a.now)
	a.ref.end(u.places, a.now)
}

// FuzzTable compares a table with its reference.
func FuzzTable(f *testing.F) {
	for seed := range 32 {
		random := newRandom(uint64(seed))
		b := make([]byte, 2000)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table := New(Limit)
		a := &actions{bytes: b[:min(len(b), 10_000)], table: table, now: table.epoch}
		a.run(t)
	})
}

// FuzzLearn has a table learn any text, within its bounds.
func FuzzLearn(f *testing.F) {
	f.Add("www.example.com", uint16(1), "www.example.com", uint16(1), uint32(60), "192.0.2.1")
	f.Add("_8443._https.a", uint16(65), "_8443._https.a", uint16(65), uint32(60),
		`1 b. alpn=h2 ipv4hint="192.0.2.1,,"`)
	f.Add("a", uint16(1), "a", uint16(5), uint32(1<<31), "a")
	const limit = 16 << 10
	f.Fuzz(func(t *testing.T, question string, qtype uint16, name string, rtype uint16, ttl uint32, data string) {
		if len(question)+len(name)+len(data) > 2000 {
			t.Skip("longer than a message's text")
		}
		table := New(limit)
		r := flow.Record{Name: name, Type: flow.RRType(rtype), TTL: ttl, Data: data}
		d := &flow.DNS{
			Response: true, Queries: []flow.Question{{Name: question, Type: flow.RRType(qtype)}},
			Answers: []flow.Record{r, {Name: data, Type: typeA, Data: "192.0.2.9"}},
		}
		table.Learn(alice, d, table.epoch)
		table.Learn(alice, d, table.epoch.Add(time.Hour))
		if s := table.Stats(); s.Bytes > limit || s.Bytes < 0 {
			t.Errorf("%+v, want at most %d bytes", s, limit)
		}
		n, u := table.Begin(alice, netip.MustParseAddr("192.0.2.9"), table.epoch)
		if n.Name != "" && n.Name != question && question[0] != '_' {
			t.Errorf("an answer to %q gives the name %q", question, n.Name)
		}
		table.End(u, table.epoch)
	})
}
