package blackhole

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Options connect a Finder with the router.
type Options struct {
	// Measure measures the path to a far end, by the name that its client knows. It calls soFar
	// with the zero Path once a connection has opened, and with a path once it is certain that
	// packets vanish, before their exact sizes are known. Where that is known already, nothing
	// hangs any more, and it may be patient. It returns ErrUndecided where the far end says too
	// little, and other errors where it is not reached.
	Measure func(ctx context.Context, far netip.AddrPort, name string, patient bool, soFar func(Path)) (Path, error)
	// MeasureClient measures the path to the client of a connection whose packets of a size are
	// stuck. It returns ErrUndecided where the client does not help.
	MeasureClient func(ctx context.Context, k flow.Key, size int) (Path, error)
	// Known reports whether Measure may be asked about a port.
	Known func(port uint16) bool
	// Opens reports whether a connection to a far end opens. It sends nothing.
	Opens func(ctx context.Context, far netip.AddrPort) bool
	// Passes reports whether full segments pass to a host, and from it, on connections of late that
	// have no clamp.
	Passes func(netip.Addr) (up, down bool)

	// Found receives each new finding, which it must not change.
	Found func(*record.Finding)
	// Unsure receives, at Close, a far end of which a connection hangs, or has hung until it ended
	// a moment ago, as in a black hole, before that was certain. name is that which its client
	// knows.
	Unsure func(far netip.AddrPort, name string)
	// Disagree receives a host to which full segments vanish on some connections and pass on
	// others, as where one of several paths (ECMP) is narrow.
	Disagree func(netip.Addr)
	// Cures reports whether new connections of a client keep to the findings.
	Cures func(client, server netip.AddrPort) bool
	// ClearDF frees a connection whose full segments are stuck, and reports whether it can.
	ClearDF func(flow.Key) bool
	// Acked returns the bytes that the far end of a connection has acknowledged, and whether it is
	// open.
	Acked func(flow.Key) (bytes uint64, ok bool)
	// LowerClientMTU frees a connection that is stuck on its client's leg, by packets of at most
	// mtu bytes, and reports whether it can.
	LowerClientMTU func(k flow.Key, mtu int) bool
	// Reset ends a connection that is stuck.
	Reset func(flow.Key)
}

// Path is a measured path to the far end of a leg, and back. Sizes are those of whole IP packets in
// bytes; 0 = unknown.
type Path struct {
	Up, Down Way
	Rough    bool // the measurement had too little time or too much loss: sizes may not be exact
}

// Way is one direction of a path.
type Way struct {
	Hole          bool // packets vanish
	Passes, Fails int
	Undecided     bool // the measurement says nothing of it
}

// ErrUndecided says that a measurement can decide nothing.
var ErrUndecided = errors.New("the far end sends no full segment")

const (
	lifetime    = 10 * time.Minute // of a finding
	errorPause  = 3 * time.Second  // before another measurement where one has failed, then twice as long each time
	firstPause  = 10 * time.Minute // the same where one has found nothing
	longPause   = time.Hour
	soon        = 2*time.Minute + agreement // where connections disagree: those of late may be of before
	agreement   = time.Minute               // in which connections agree
	mostHosts   = 1024
	mostStalls  = 4 // of a host, as evidence
	mostAtATime = 2 // measurements
	neighbours  = 3 // hosts of a prefix that stand for all
)

// Finder finds black holes. Its methods may be called by any goroutine, and do not block.
type Finder struct {
	o       Options
	ctx     context.Context // of the measurements
	stop    context.CancelFunc
	probing sync.WaitGroup

	mu     sync.Mutex // guards all below
	hosts  map[end]*host
	near   map[around]*vicinity      // of hosts with findings
	alias  map[netip.Addr]netip.Addr // virtual addresses of servers, at most mostHosts
	active int                       // measurements
	todo   []func()                  // without the lock, once it is given back
}

// end is the far end of a leg: a server, or a client.
type end struct {
	addr   netip.Addr
	client bool
}

// host is the knowledge of the way to one far end.
type host struct {
	port     uint16 // that was dialled last
	name     string
	stalls   []suspect
	probing  bool
	notUntil time.Time     // the next measurement
	asked    time.Time     // whether it is there
	pause    time.Duration // before the last one; 0 = there was none
	small    bool          // measurements decide nothing, as the far end says too little
	finding  *record.Finding
	narrow   Path      // without exact sizes, while measurements go on or fail
	since    time.Time // when narrow was found
	used     bool      // since the finding was made, or renewed
	narrower bool      // than the likely size, which is assumed where none is known
	flows    map[flow.Key]*cure
}

// suspect is a connection that has stalled.
type suspect struct {
	flow.Stall
	up     bool
	seen   time.Time
	before uint32        // Backoff, when it was seen the time before
	lost   time.Duration // Silent, when it was first seen that bytes from the server are lost
	opened *flow.Stall   // its state when a new connection opened; nil = none has
	freed  bool          // it went on once its DF was cleared
}

// cure is a connection that was stuck when its hole was found.
type cure struct {
	freed bool   // its DF is cleared
	looks int    // since then, and since it has gone on
	from  uint64 // bytes acknowledged, when it was freed
	acked uint64 // at the last look
}

// New returns a Finder. Close ends its measurements.
func New(o Options) *Finder {
	ctx, stop := context.WithCancel(context.Background())
	return &Finder{
		o: o, ctx: ctx, stop: stop, hosts: make(map[end]*host),
		near:  make(map[around]*vicinity),
		alias: make(map[netip.Addr]netip.Addr),
	}
}

// Close ends the measurements and waits for them. It makes a finding of a black hole that is
// certain by then, and tells of others. Stalled is not called any more.
func (f *Finder) Close() {
	f.stop()
	f.probing.Wait()
	f.locked(func() { f.judgeAtEnd(time.Now()) })
}

// Stalled takes a connection that makes no progress, for stack.Options.Stalled.
func (f *Finder) Stalled(s flow.Stall) {
	up, down := s.HidesUp(), s.HidesDown()
	hides := up || down
	if !hides { // full segments have passed: the path may have changed
		up, down = s.LosesUp(), s.LosesDown()
	}
	a := s.Remote.Addr()
	if !up && !down || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return
	}
	e := end{a, s.ClientLeg}
	f.locked(func() {
		h := f.host(e)
		if h == nil {
			return
		}
		now := time.Now()
		if server := s.Key.Server.Addr(); server != a && !e.client && len(f.alias) < mostHosts {
			f.alias[server] = a
		}
		if h.finding != nil && !(hides && h.isTooWide(s)) {
			if hides || h.coversLate(s, up) {
				f.cure(h, s, up)
			}
			return
		}
		measurable := f.o.Known(s.Remote.Port()) && !h.small
		if !hides && !measurable { // a path that has failed looks the same
			return
		}
		h.note(suspect{Stall: s, up: up, seen: now})
		switch {
		case e.client && up && !h.small:
			f.measureClient(e, h, s, now)
		case !e.client && measurable:
			f.measureServer(e, h, now)
			if hides {
				f.cureEarly(e, h, s, up)
			}
		default:
			if up && !e.client {
				f.try(e, h, s)
			}
			f.compare(e, h, up, now)
		}
	})
}

// locked does work with the lock held, and then without it all that the work has left to do: calls
// that may come back here, or wait.
func (f *Finder) locked(work func()) {
	f.mu.Lock()
	work()
	todo := f.todo
	f.todo = nil
	f.mu.Unlock()
	for _, do := range todo {
		do()
	}
}

func (f *Finder) later(do func()) { f.todo = append(f.todo, do) }

// host returns the host at the end of a leg; nil where there is no room for it.
func (f *Finder) host(e end) *host {
	h := f.hosts[e]
	if h != nil {
		return h
	}
	if len(f.hosts) >= mostHosts {
		for other, old := range f.hosts { // in random order
			if old.finding == nil && !old.probing {
				f.forget(other)
				break
			}
		}
		if len(f.hosts) >= mostHosts {
			return nil
		}
	}
	h = &host{flows: make(map[flow.Key]*cure)}
	f.hosts[e] = h
	return h
}

// forget removes a host, and the virtual addresses that stand for it.
func (f *Finder) forget(e end) {
	delete(f.hosts, e)
	for server, to := range f.alias {
		if to == e.addr && !e.client {
			delete(f.alias, server)
		}
	}
}

// note keeps a stall as evidence, the latest of each connection.
func (h *host) note(s suspect) {
	h.port = s.Remote.Port()
	s.lost = s.Silent
	if o := record.AsOpening(s.Opening); !s.ClientLeg && o != nil && o.Name != nil {
		h.name = o.Name.Name
	}
	for i := range h.stalls {
		if before := &h.stalls[i]; before.Key == s.Key {
			if s.Silent > before.Silent && s.up == before.up {
				s.before, s.opened, s.freed = before.Backoff, before.opened, before.freed
				if before.Held > 0 || before.Missing > 0 {
					s.lost = before.lost
				}
			}
			h.stalls[i] = s
			return
		}
	}
	if len(h.stalls) >= mostStalls {
		h.stalls = append(h.stalls[:0], h.stalls[1:]...)
	}
	h.stalls = append(h.stalls, s)
}

// suspect returns the evidence of a connection; nil = there is none.
func (h *host) suspect(k flow.Key) *suspect {
	for i := range h.stalls {
		if h.stalls[i].Key == k {
			return &h.stalls[i]
		}
	}
	return nil
}

// MSS returns the clamp for connections of a client to a server, 0 where none is known: that of the
// narrower leg.
func (f *Finder) MSS(client, server netip.Addr) packet.MSS {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a, ok := f.alias[server]; ok {
		server = a
	}
	return lower(f.mss(end{addr: server}), f.mss(end{client, true}))
}

// mss returns the clamp for a leg, 0 where none is known. The lock is held.
func (f *Finder) mss(e end) packet.MSS {
	if h := f.hosts[e]; h != nil && h.finding != nil {
		h.used = true
		return packet.MSS(h.finding.Clamp)
	} else if h != nil && h.narrow.hole() {
		return h.clampOf(e.addr, h.narrow)
	}
	if v := f.near[e.around()]; v != nil && v.finding != nil {
		return packet.MSS(v.finding.Clamp)
	}
	return 0
}

// lower returns the lower of two clamps; 0 = none.
func lower(a, b packet.MSS) packet.MSS {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// Findings returns those that have not expired, the oldest first.
func (f *Finder) Findings() []record.Finding {
	all := make([]record.Finding, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.hosts {
		if h.finding != nil {
			all = append(all, *h.finding)
		}
	}
	for _, v := range f.near {
		if v.finding != nil {
			all = append(all, *v.finding)
		}
	}
	slices.SortFunc(all, func(a, b record.Finding) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Dst, b.Dst))
	})
	return all
}
