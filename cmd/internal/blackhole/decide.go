package blackhole

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Evidence of connections that agree, without a measurement.
const (
	sureBackoff = 4
	sureSilence = 3 * time.Second
	lately      = 5 * time.Second  // before a stall, the far end has been heard
	soonStuck   = 10 * time.Second // after its SYN, full segments of a connection are lost
	stuckFor    = 15 * time.Second // since a stall was seen: it lasts, or did as the measurement began
	askPause    = 10 * time.Second // between two questions of whether a host is there
	likely      = 1280             // bytes that pass; RFC 8200 §5, and IPv4 paths below it are rare
	least       = 576              // the same of an IPv4 path below it (RFC 791 §3.1)
)

// measureServer begins a measurement of the path to a server, if one is due. The lock is held.
func (f *Finder) measureServer(e end, h *host, now time.Time) {
	far, name := netip.AddrPortFrom(e.addr, h.port), h.name
	patient := h.narrow.hole() // all that is stuck is cured without it
	f.measure(e, h, now, func() (Path, bool, error) {
		path, err := f.o.Measure(f.ctx, far, name, patient, func(p Path) { f.soFar(e, h, p) })
		path, disagree := f.compareWithOthers(e, path)
		return path, disagree, err
	})
}

// measureClient is the same of the path to the client of a connection that stalls. If packets from
// it vanish too, no measurement tells their size. The lock is held.
func (f *Finder) measureClient(e end, h *host, s flow.Stall, now time.Time) {
	back := s.HidesDown()
	f.measure(e, h, now, func() (Path, bool, error) {
		path, err := f.o.MeasureClient(f.ctx, s.Key, s.Packet)
		path.Down.Hole = path.Up.Hole && back
		return path, false, err
	})
}

// measure begins a measurement, if one is due. The lock is held.
func (f *Finder) measure(e end, h *host, now time.Time, look func() (_ Path, disagree bool, _ error)) {
	if h.probing || now.Before(h.notUntil) || f.active >= mostAtATime {
		return
	}
	h.probing = true
	f.active++
	f.probing.Go(func() {
		path, disagree, err := look()
		f.locked(func() {
			f.active--
			h.probing = false
			f.measured(e, h, path, err)
			if disagree {
				f.tell(e, h)
			}
		})
	})
}

// measured takes the end of a measurement. The lock is held.
func (f *Finder) measured(e end, h *host, path Path, err error) {
	now := time.Now()
	h.small = false
	if f.ctx.Err() != nil {
		return
	}
	if err == nil || errors.Is(err, ErrUndecided) {
		path.Up.keep(h.narrow.Up)
		path.Down.keep(h.narrow.Down)
		h.narrow = Path{}
	}
	switch {
	case err == nil && path.hole() && path.Rough && h.finding != nil:
		h.finding.Expires = now.Add(lifetime)
	case err == nil && path.hole() && path.Rough && h.pause == 0: // once more
		h.pause = errorPause
		h.add(path)
	case err == nil && path.hole():
		h.pause = 0
		f.found(e, h, path, record.High, now)
	case errors.Is(err, ErrUndecided):
		h.small = true // two connections have to agree
		f.drop(e, h)
	case err != nil && h.finding != nil: // as when the far end is down: it is not known to be cured
		h.finding.Expires = now.Add(lifetime)
	case err != nil:
		h.pause = min(max(errorPause, 2*h.pause), longPause)
	default:
		h.pause = min(max(firstPause, 2*h.pause), longPause)
		f.drop(e, h)
	}
	h.notUntil = now.Add(h.pause)
}

// keep takes what is known of a way that a measurement has not decided.
func (w *Way) keep(known Way) {
	if w.Undecided && known.Hole {
		*w = known
	}
}

// compare decides without a measurement: where stalls of several connections agree and a new one
// opens, or where one has gone on after a new one has opened. The lock is held.
func (f *Finder) compare(e end, h *host, up bool, now time.Time) {
	agree, outlasts, ask, narrower := 0, false, false, h.finding != nil
	for i := range h.stalls {
		s := &h.stalls[i]
		if s.up != up || now.Sub(s.seen) >= agreement {
			continue
		}
		ask = ask || s.opened == nil && s.isSuspicious()
		if s.isSure() {
			agree++
			outlasts = outlasts || s.Acked > 0 && s.outlasts()
		}
	}
	decide := outlasts || agree >= 2
	if !decide && (!ask || now.Sub(h.asked) < askPause) || h.probing || now.Before(h.notUntil) || f.active >= mostAtATime {
		return
	}
	h.probing, h.asked = true, now
	f.active++
	far := netip.AddrPortFrom(e.addr, h.port)
	f.probing.Go(func() {
		opens := outlasts || e.client && !up || !e.client && f.o.Opens(f.ctx, far) // segments of a client have come
		path, disagree := f.compareWithOthers(e, Path{Up: Way{Hole: up}, Down: Way{Hole: !up}})
		f.locked(func() {
			f.active--
			h.probing = false
			if decide || !opens {
				h.notUntil = time.Now().Add(agreement)
			}
			switch {
			case !opens || f.ctx.Err() != nil:
			case !decide:
				h.opened()
			case disagree:
				f.tell(e, h)
			default:
				h.narrower, h.notUntil = h.narrower || narrower, time.Time{}
				f.found(e, h, path, record.Medium, time.Now())
			}
		})
	})
}

// opened notes that small packets pass now.
func (h *host) opened() {
	for i := range h.stalls {
		if s := &h.stalls[i]; s.opened == nil {
			at := s.Stall
			s.opened = &at
		}
	}
}

// compareWithOthers takes the holes out of a path in whose direction full segments pass on other
// connections, and reports whether there are such. It is called without the lock.
func (f *Finder) compareWithOthers(e end, path Path) (_ Path, disagree bool) {
	if e.client || !path.hole() {
		return path, false
	}
	up, down := f.o.Passes(e.addr)
	if path.Up.Hole && up {
		path.Up, disagree = Way{}, true
	}
	if path.Down.Hole && down {
		path.Down, disagree = Way{}, true
	}
	return path, disagree
}

// tell reports connections that disagree. It may be that the path has just become narrow: that is
// looked at again soon. The lock is held.
func (f *Finder) tell(e end, h *host) {
	h.notUntil = time.Now().Add(soon)
	if f.ctx.Err() == nil {
		f.later(func() { f.o.Disagree(e.addr) })
	}
}

// isSuspicious reports whether it is worth to ask if small packets pass. A path that was silent
// before the stall may have forgotten the connection, as an address translator does.
func (s *suspect) isSuspicious() bool {
	if s.up {
		return s.HidesUp() && s.Backoff >= sureBackoff-1 && s.Heard < s.Silent+lately
	}
	return s.HidesDown() && (s.Held > 0 || s.Missing > 0) && s.Silent >= sureSilence-time.Second
}

// isSure reports whether loss and slowness do not explain the stall. Of an upload nothing tells
// whether the path still knows the connection: a firewall that is started anew, or a load balancer
// whose server is gone, drops all packets of those that it knew, and lets new ones pass. A black
// hole has new ones stuck, too, at their first full segments.
func (s *suspect) isSure() bool {
	if s.up {
		return s.freed || s.isSuspicious() && s.Backoff >= sureBackoff && s.Acked > 0 && s.Age < s.Silent+soonStuck
	}
	there := s.Heard < sureSilence // it has been asked each second
	return s.HidesDown() && (s.Held > 0 || s.Missing > 0) && there && s.Silent >= s.lost+sureSilence
}

// outlasts reports whether packets have vanished after small ones have passed: a segment was sent
// again since then, and has not been acknowledged before it was sent once more, or for the time
// between two looks.
func (s *suspect) outlasts() bool {
	switch {
	case s.opened == nil:
		return false
	case s.up:
		since := int(s.Backoff) - int(s.opened.Backoff)
		return since > 1 || since == 1 && s.Backoff == s.before
	}
	return s.Silent >= s.opened.Silent+sureSilence
}

// found makes a finding of a path, or renews it. The lock is held.
func (f *Finder) found(e end, h *host, path Path, sure record.Confidence, now time.Time) {
	a := e.addr
	next := &record.Finding{
		Header: record.Header{Time: now, Level: "warning", Msg: "finding"},
		Kind:   record.BlackHole, Confidence: sure, Family: 4, Dst: a.WithZone("").String(), Name: h.name,
		Direction: path.direction(), Flows: len(h.stalls), Expires: now.Add(lifetime),
	}
	if e.client {
		next.Leg = record.ClientLeg
	}
	if a.Is6() {
		next.Family = 6
	}
	next.Passes, next.Fails = path.narrowest()
	next.Clamp = int(h.clampOf(a, path))
	for i := range h.stalls {
		s := &h.stalls[i]
		next.Stalls = append(next.Stalls, stallOf(&s.Stall))
		next.Applied = next.Applied || f.o.Cures(s.Key.Client, s.Key.Server)
	}
	before := h.finding
	isNew := before == nil || before.Clamp != next.Clamp || before.Direction != next.Direction
	if before != nil {
		next.Stalls, next.Flows, next.Applied = before.Stalls, before.Flows, before.Applied
	}
	if !isNew {
		next.Header = before.Header
	}
	h.finding, h.used = next, false
	if isNew {
		told := *next
		f.later(func() { f.o.Found(&told) })
	}
	f.joinVicinity(e, next)
	for i := range h.stalls {
		s := &h.stalls[i]
		if now.Sub(s.seen) < stuckFor {
			f.cure(h, s.Stall, s.up)
		}
	}
	h.stalls = nil
}

// judgeAtEnd takes the evidence that there is when the router ends, as it does with the command of
// exec. The lock is held.
func (f *Finder) judgeAtEnd(now time.Time) {
	for e, h := range f.hosts {
		var stuck, suspicious bool
		for i := range h.stalls {
			s := &h.stalls[i]
			recent := now.Sub(s.seen) < stuckFor && (s.HidesUp() || s.HidesDown())
			stuck, suspicious = stuck || recent, suspicious || recent && s.isSuspicious()
		}
		switch measurable := f.o.Known(h.port) && !h.small; {
		case h.finding != nil || e.client || !stuck:
		case h.narrow.hole():
			f.found(e, h, h.narrow, record.Medium, now)
		case now.Before(h.notUntil): // it has been looked at
		case measurable || suspicious:
			f.later(func() { f.o.Unsure(netip.AddrPortFrom(e.addr, h.port), h.name) })
		}
	}
}

// clampOf returns the MSS that cures the path to a host's address.
func (h *host) clampOf(a netip.Addr, p Path) packet.MSS {
	floor, assumed := packet.MSS(536), likely
	if a.Is6() {
		floor = 1220
	}
	if h.narrower {
		assumed = least
	}
	passes, _ := p.narrowest()
	return max(floor, packet.MTU(cmp.Or(passes, assumed)).MSS(a.Is6()))
}

// isTooWide reports whether a connection to a server hangs although it keeps to a finding that
// knows no size, and may keep to less.
func (h *host) isTooWide(s flow.Stall) bool {
	return !s.ClientLeg && s.Remote.Addr().Is4() && h.finding.Passes == 0 && !h.narrower &&
		s.Clamped && int(s.AdvMSS) <= h.finding.Clamp
}

func (p Path) hole() bool { return p.Up.Hole || p.Down.Hole }

// narrowest returns the sizes of the narrower way in which packets vanish; 0 = unknown.
func (p Path) narrowest() (passes, fails int) {
	for _, way := range []Way{p.Up, p.Down} {
		if way.Hole && way.Passes > 0 && (passes == 0 || way.Passes < passes) {
			passes, fails = way.Passes, way.Fails
		}
	}
	return passes, fails
}

func (p Path) direction() string {
	switch {
	case p.Up.Hole && p.Down.Hole:
		return "both"
	case p.Up.Hole:
		return "up"
	}
	return "down"
}

// drop forgets a finding. The lock is held.
func (f *Finder) drop(e end, h *host) {
	if h.finding == nil {
		return
	}
	h.finding, h.narrower = nil, false
	clear(h.flows)
	f.leaveVicinity(e)
}

// Run measures paths again whose findings are about to expire, and forgets those of paths that
// carry nothing, until ctx ends.
func (f *Finder) Run(ctx context.Context) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.review(time.Now())
		}
	}
}

func (f *Finder) review(now time.Time) {
	f.locked(func() {
		for e, h := range f.hosts {
			switch {
			case h.probing:
			case h.finding == nil && h.narrow.hole() && now.Sub(h.since) < lifetime:
				f.measureServer(e, h, now) // its connections keep to a clamp, and stall no more
			case h.finding == nil:
				h.narrow = Path{}
				idle := len(h.stalls) == 0 || now.Sub(h.stalls[len(h.stalls)-1].seen) > agreement
				if idle && now.After(h.notUntil) {
					f.forget(e)
				}
			case now.Before(h.finding.Expires):
			case h.used && !e.client && f.o.Known(h.port):
				h.used = false
				h.notUntil = time.Time{}
				f.measureServer(e, h, now)
			default:
				f.drop(e, h)
			}
		}
	})
}

// stallOf returns the evidence of a stall.
func stallOf(s *flow.Stall) record.Stall {
	server := s.Remote
	if s.ClientLeg {
		server = s.Key.Server
	}
	received := s.RcvMSS
	if s.ClientLeg {
		received = 0 // netstack has no number
	}
	return record.Stall{
		Src: s.Key.Client.Addr().String(), SPort: s.Key.Client.Port(),
		Dst: server.Addr().WithZone("").String(), DPort: server.Port(), Silent: s.Silent.Microseconds(),
		SndMSS: s.SndMSS, RcvMSS: received, Unacked: s.Unacked, Sacked: s.Sacked, Backoff: s.Backoff,
		Retransmits: s.Retransmits, OutOfOrder: s.OutOfOrder, Acked: s.Acked, Received: s.Received,
		Missing: s.Missing,
	}
}
