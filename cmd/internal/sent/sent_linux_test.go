package sent

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tun/flow"
)

var (
	local  = netip.MustParseAddrPort("192.0.2.1:40000")
	server = netip.MustParseAddrPort("203.0.113.2:443")
	other  = netip.MustParseAddrPort("198.51.100.7:443")
	begin  = time.Now()
)

// lab is a Tally whose time the test makes, and whose looks end when it says so.
type lab struct {
	*Tally
	now   time.Time
	looks int // that have begun
	taken int // that are over
	gated bool

	isOpen bool // each connection
}

func newLab() *lab {
	l := &lab{now: begin, gated: true, isOpen: true}
	l.Tally = New(Options{
		Look: func() func() bool {
			l.looks++
			n := l.looks
			return func() bool { return l.taken >= n }
		},
		Gated:    func(flow.Proto) bool { return l.gated },
		Patience: func() time.Duration { return time.Minute },
		IsOpen:   func(netip.AddrPort, netip.AddrPort) bool { return l.isOpen },
		Found:    func([]Unrecorded) {},
	})
	return l
}

func (l *lab) syn(from, to netip.AddrPort, isn uint32) {
	l.sent(&packet{local: from, remote: to, whole: true, syn: true, isn: isn}, l.now)
}

func (l *lab) data(from, to netip.AddrPort) {
	l.sent(&packet{local: from, remote: to, whole: true, data: true}, l.now)
}

func (l *lab) first(p flow.Proto, to netip.AddrPort) {
	l.sent(&packet{proto: p, local: local, remote: to, whole: true}, l.now)
}

// found returns all that is found out until nothing is suspect any more.
func (l *lab) found() (all []Unrecorded) {
	for {
		l.now = l.now.Add(tick)
		all = append(all, l.judge(l.now)...)
		if len(l.suspects) == 0 {
			return all
		}
		l.taken = l.looks
	}
}

// later returns all that is found out after a time in which nothing has happened.
func (l *lab) later(d time.Duration) (all []Unrecorded) {
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(kept) {
		all = append(all, l.rotate(l.now)...)
	}
	return all
}

func checkFound(t *testing.T, got []Unrecorded, want ...Unrecorded) {
	t.Helper()
	same := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// What a router says before it sends is no finding, in whatever order the keeper learns of both.
func TestHonest(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5000) {
		l := newLab()
		h := &honest{lab: l, random: rand.New(rand.NewPCG(seed, 0))}
		for i := range 8 {
			var steps []step
			for n := range 1 + h.random.IntN(4) {
				steps = append(steps, h.flow(uint32(i), uint32(10*i+n))...)
			}
			h.flows = append(h.flows, steps)
		}
		h.run(t)
		checkFound(t, l.found())
		if s := l.Stats(); s.Sent == 0 || s.Unrecorded+s.Missed+s.Unjudged != 0 {
			t.Errorf("counts %+v", s)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// honest is a router, of which the keeper learns by two queues.
type honest struct {
	*lab
	random       *rand.Rand
	flows        [][]step
	ring, kernel []func() // that the keeper has not taken yet
	put, took    int      // messages in the ring
	looked       int      // messages that were put when the last look began
}

// step is one that a flow takes: the router says something, or sends a packet.
type step struct {
	says bool
	do   func()
}

// flow returns the steps of a flow from a port, by which others may have gone before.
func (h *honest) flow(port, isn uint32) (steps []step) {
	from := netip.AddrPortFrom(local.Addr(), uint16(40000+port))
	to := []netip.AddrPort{server, other}[h.random.IntN(2)]
	says := func(f func()) { steps = append(steps, step{true, f}) }
	sends := func(f func()) { steps = append(steps, step{false, f}) }
	if h.random.IntN(4) == 0 {
		says(func() { h.Begun(flow.UDP, to, true) })
		for range 1 + h.random.IntN(3) { // the entry of conntrack expires
			sends(func() { h.first(flow.UDP, to) })
		}
		says(func() { h.Ended(flow.UDP, to) })
		return steps
	}
	kind := h.random.IntN(6)
	if kind == 0 { // a question of the router's own
		says(func() { h.Connected(netip.AddrPort{}, to) })
	}
	says(func() { h.Announce(to, kind == 0) })
	for range 1 + h.random.IntN(3) {
		sends(func() { h.syn(from, to, isn) })
	}
	if kind == 1 { // it has no answer
		return steps
	}
	if kind > 1 {
		says(func() { h.Connected(from, to) })
	}
	if kind == 2 { // it sends nothing
		return steps
	}
	for range 1 + h.random.IntN(2) { // connection tracking is flushed
		sends(func() { h.data(from, to) })
	}
	return steps
}

// run has all flows take their steps, and the keeper learn of them, at random.
func (h *honest) run(t *testing.T) {
	for len(h.flows)+len(h.ring)+len(h.kernel) > 0 {
		switch n := h.random.IntN(4); {
		case n == 0 && len(h.flows) > 0:
			i := h.random.IntN(len(h.flows))
			s := h.flows[i][0]
			if s.says {
				h.ring, h.put = append(h.ring, s.do), h.put+1
			} else {
				h.kernel = append(h.kernel, s.do)
			}
			if h.flows[i] = h.flows[i][1:]; len(h.flows[i]) == 0 {
				h.flows = slices.Delete(h.flows, i, i+1)
			}
		case n == 1 && len(h.ring) > 0:
			h.ring[0]()
			h.ring, h.took = h.ring[1:], h.took+1
		case n == 2 && len(h.kernel) > 0:
			h.kernel[0]()
			h.kernel = h.kernel[1:]
		case n == 3:
			if h.took >= h.looked {
				h.taken = h.looks
			}
			before := h.looks
			checkFound(t, h.judge(h.now))
			if h.looks > before {
				h.looked = h.put
			}
		}
	}
}

// A connection that the router has not announced is found out, once, when all is taken that it has
// said, and not before.
func TestUnannounced(t *testing.T) {
	t.Parallel()
	l := newLab()
	l.Announce(other, false)
	l.syn(local, server, 1)
	l.syn(local, server, 1)
	for range 10 {
		checkFound(t, l.judge(l.now))
	}
	l.data(local, server)
	checkFound(t, l.found(), Unrecorded{flow.TCP, server, 1, Unannounced})
	l.data(local, server)
	l.syn(local, server, 1)
	checkFound(t, l.found())
	if s := l.Stats(); s != (Stats{Sent: 1, Unrecorded: 1}) {
		t.Errorf("counts %+v", s)
	}
}

// Bytes of a connection that is on no record are found out, also where its record has another
// destination or another port.
func TestUnwritten(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(l *lab){
		"no record":                func(*lab) {},
		"another destination":      func(l *lab) { l.Connected(local, other) },
		"another connection":       func(l *lab) { l.Connected(netip.AddrPortFrom(local.Addr(), 40001), server) },
		"a record without a port":  func(l *lab) { l.Connected(netip.AddrPort{}, server) },
		"the router has ended":     func(l *lab) { l.Forget() },
		"it is another's, it says": func(l *lab) { l.Announce(server, true) },
	} {
		l := newLab()
		l.Announce(server, false)
		l.syn(local, server, 1)
		checkFound(t, l.found())
		l.data(local, server)
		lie(l)
		t.Log(name)
		checkFound(t, l.found(), Unrecorded{flow.TCP, server, 1, Unwritten})
	}
}

// The router may ask a destination questions of its own where a connection to it is on record, and
// nowhere else. Which of its connections that is cannot be told.
func TestSentOwn(t *testing.T) {
	t.Parallel()
	l := newLab()
	l.Connected(netip.AddrPortFrom(local.Addr(), 1), server)
	l.Announce(server, false) // for a client, which has no answer yet
	for _, to := range []netip.AddrPort{server, other} {
		l.Announce(to, true)
		l.syn(local, to, 1)
		l.data(local, to)
	}
	checkFound(t, l.found(), Unrecorded{flow.TCP, other, 1, Unwritten})
	if n := l.Stats().Own; n != 2 {
		t.Errorf("%d connections of its own, want 2", n)
	}
}

// A destination that was on record long ago may be forgotten when the router measures its path.
func TestForgottenDestination(t *testing.T) {
	t.Parallel()
	l := newLab()
	l.Connected(netip.AddrPort{}, server)
	for i := range uint32(2 * mostRemotes) {
		l.Connected(netip.AddrPort{}, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80))
	}
	l.Announce(server, true)
	l.syn(local, server, 1)
	l.data(local, server)
	checkFound(t, l.found())
	if s := l.Stats(); s.Unjudged != 1 {
		t.Errorf("counts %+v", s)
	}
}

// A connection that no record follows, and that is still open, is found out later; one that had no
// answer when its router died is none.
func TestLateRecord(t *testing.T) {
	t.Parallel()
	l := newLab()
	l.Announce(server, false)
	l.syn(local, server, 1)
	checkFound(t, l.later(time.Minute))
	checkFound(t, l.later(2*kept), Unrecorded{flow.TCP, server, 1, Late})
	l.Announce(server, false)
	l.syn(local, server, 2)
	l.Forget()
	checkFound(t, l.later(10*time.Minute))
	l.isOpen = false
	l.Announce(other, false)
	l.syn(local, other, 3)
	checkFound(t, l.later(10*time.Minute))
	if !l.wait(l.now).IsZero() {
		t.Error("something is remembered for ever")
	}
}

// A connection leaves its port to another one, whose record the keeper may have before it knows of
// the SYN. Each record is good for one.
func TestReusedPort(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]func(l *lab){
		"without a record": func(l *lab) { l.syn(local, server, 1) },
		"on record":        func(l *lab) { l.syn(local, server, 1); l.Connected(local, server); l.data(local, server) },
		"not seen yet":     func(l *lab) { l.Connected(local, server) },
	} {
		t.Log(name)
		l := newLab()
		l.Announce(server, false)
		first(l)
		l.Announce(server, false)
		l.Connected(local, server)
		if name == "not seen yet" {
			l.syn(local, server, 1)
			l.data(local, server)
		}
		l.syn(local, server, 2)
		l.data(local, server)
		l.data(local, server)
		checkFound(t, l.found())
		l.Announce(server, false)
		l.syn(local, server, 3)
		l.data(local, server)
		checkFound(t, l.found(), Unrecorded{flow.TCP, server, 1, Unwritten})
	}
}

// Datagrams and echoes to where no flow is on record are found out, and so are other messages than
// echoes.
func TestSentDatagrams(t *testing.T) {
	t.Parallel()
	ping := netip.AddrPortFrom(server.Addr(), 0)
	l := newLab()
	l.Begun(flow.UDP, server, true)
	l.Begun(flow.ICMP, ping, false)
	l.first(flow.UDP, server)
	l.first(flow.ICMP, ping)
	l.Trust(flow.UDP, other)
	l.first(flow.UDP, other)
	checkFound(t, l.found())
	l.first(flow.UDP, netip.AddrPortFrom(server.Addr(), 53))
	l.sent(&packet{proto: flow.ICMP, remote: ping}, l.now)
	checkFound(t, l.found(),
		Unrecorded{flow.UDP, netip.AddrPortFrom(server.Addr(), 53), 1, Unwritten},
		Unrecorded{flow.ICMP, ping, 1, Unwritten})
}

// Where records may be lost on their way and connections go on, one that is missing proves nothing:
// for a while, where they may be, and where they are, as long as that router lives.
func TestLostRecords(t *testing.T) {
	t.Parallel()
	for _, gated := range []bool{false, true} {
		for _, lost := range []bool{false, true} {
			l := newLab()
			l.gated = gated
			unwritten := func(isn uint32) {
				l.Announce(server, false)
				l.syn(local, server, isn)
				l.data(local, server)
			}
			judged := []Unrecorded{{flow.TCP, server, 1, Unwritten}}
			check := func(isJudged bool) {
				t.Helper()
				if isJudged {
					checkFound(t, l.found(), judged...)
				} else {
					checkFound(t, l.found())
				}
			}
			unwritten(1)
			if lost {
				l.Lost()
			} else {
				l.Blocked()
			}
			check(gated)
			l.gated = true // by another config
			unwritten(2)
			check(gated || !lost)
			l.gated = gated
			l.now = l.now.Add(2 * forgiven)
			unwritten(3)
			check(gated || !lost)
			l.Forget()
			unwritten(4)
			check(true)
			if s := l.Stats(); s.Unjudged+s.Unrecorded != 4 {
				t.Errorf("gated %t, lost %t: counts %+v", gated, lost, s)
			}
		}
	}
}

// Memory is bounded, whatever a router says and sends.
func TestBounded(t *testing.T) {
	t.Parallel()
	l := newLab()
	for i := range uint32(3 * mostSuspects) {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 80)
		l.syn(local, a, i)
		l.Announce(netip.AddrPortFrom(a.Addr(), 81), false)
		l.Connected(local, a)
	}
	if len(l.suspects) > mostSuspects || len(l.announced.now) > mostAnnounced {
		t.Errorf("%d suspects, %d announcements", len(l.suspects), len(l.announced.now))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 203, 0, 113, 2, 1, 187, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0xa0, 2, 0, 0, 0, 0, 0, 0})
	f.Add(make([]byte, 80))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parse(b)
		if ok && !p.remote.Addr().IsValid() {
			t.Errorf("%x: no destination", b)
		}
		l := newLab()
		var next uint32
		l.take(b, l.now, &next)
	})
}
