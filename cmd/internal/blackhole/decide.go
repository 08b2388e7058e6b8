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
	likely      = 1280 // bytes that pass; RFC 8200 §5, and IPv4 paths below it are rare
)

// measure begins a measurement of the path, if one is due. The lock is held.
func (f *Finder) measure(a netip.Addr, h *host, now time.Time) {
	if h.probing || now.Before(h.notUntil) || f.active >= mostAtATime {
		return
	}
	h.probing = true
	f.active++
	far, name := netip.AddrPortFrom(a, h.port), h.name
	f.probing.Go(func() {
		path, err := f.o.Measure(f.ctx, far, name)
		path, disagree := f.compareWithOthers(a, path)
		f.locked(func() {
			f.active--
			h.probing = false
			f.measured(a, h, path, err)
			if disagree {
				f.tell(a, h)
			}
		})
	})
}

// measured takes the end of a measurement. The lock is held.
func (f *Finder) measured(a netip.Addr, h *host, path Path, err error) {
	now := time.Now()
	h.small = false
	switch {
	case f.ctx.Err() != nil:
	case err == nil && (path.Up.Hole || path.Down.Hole):
		h.pause = 0
		f.found(a, h, path, record.High, now)
	case errors.Is(err, ErrUndecided):
		h.small = true // two connections have to agree
		f.drop(a, h)
	case err != nil && h.finding != nil: // as when the far end is down: it is not known to be cured
		h.finding.Expires = now.Add(lifetime)
	case err != nil:
		h.pause = min(max(errorPause, 2*h.pause), longPause)
	default:
		h.pause = min(max(firstPause, 2*h.pause), longPause)
		f.drop(a, h)
	}
	h.notUntil = now.Add(h.pause)
}

// compare looks whether stalls of several connections agree, and asks whether the far end is there.
// The lock is held.
func (f *Finder) compare(a netip.Addr, h *host, up bool, now time.Time) {
	agree := 0
	for i := range h.stalls {
		if s := &h.stalls[i]; s.up == up && now.Sub(s.seen) < agreement && s.isSure() {
			agree++
		}
	}
	if agree < 2 || h.probing || now.Before(h.notUntil) || f.active >= mostAtATime {
		return
	}
	h.probing = true
	f.active++
	far := netip.AddrPortFrom(a, h.port)
	f.probing.Go(func() {
		opens := f.o.Opens(f.ctx, far)
		path, disagree := f.compareWithOthers(a, Path{Up: Way{Hole: up}, Down: Way{Hole: !up}})
		f.locked(func() {
			f.active--
			h.probing = false
			h.notUntil = time.Now().Add(agreement)
			switch {
			case !opens || f.ctx.Err() != nil:
			case disagree:
				f.tell(a, h)
			default:
				f.found(a, h, path, record.Medium, time.Now())
			}
		})
	})
}

// compareWithOthers takes the holes out of a path in whose direction full segments pass on other
// connections, and reports whether there are such. It is called without the lock.
func (f *Finder) compareWithOthers(a netip.Addr, path Path) (_ Path, disagree bool) {
	if !path.Up.Hole && !path.Down.Hole {
		return path, false
	}
	up, down := f.o.Passes(a)
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
func (f *Finder) tell(a netip.Addr, h *host) {
	h.notUntil = time.Now().Add(soon)
	if f.ctx.Err() == nil {
		f.later(func() { f.o.Disagree(a) })
	}
}

// isSure reports whether loss and slowness do not explain the stall.
func (s *suspect) isSure() bool {
	if s.up {
		return s.Backoff >= sureBackoff
	}
	return s.Held > 0 && s.Silent >= sureSilence
}

// found makes a finding of a path, or renews it. The lock is held.
func (f *Finder) found(a netip.Addr, h *host, path Path, sure record.Confidence, now time.Time) {
	next := &record.Finding{
		Header: record.Header{Time: now, Level: "warning", Msg: "finding"},
		Kind:   record.BlackHole, Confidence: sure, Family: 4, Dst: a.WithZone("").String(), Name: h.name,
		Direction: path.direction(), Flows: len(h.stalls), Expires: now.Add(lifetime),
	}
	if a.Is6() {
		next.Family = 6
	}
	for _, way := range []Way{path.Up, path.Down} {
		if way.Hole && (next.Passes == 0 || way.Passes < next.Passes) {
			next.Passes, next.Fails = way.Passes, way.Fails
		}
	}
	least := 536
	if a.Is6() {
		least = 1220
	}
	next.Clamp = max(least, int(packet.MTU(cmp.Or(next.Passes, likely)).MSS(a.Is6())))
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
	prefix := around(a)
	if f.near[prefix] == nil {
		f.near[prefix] = make(map[netip.Addr]packet.MSS)
	}
	f.near[prefix][a] = packet.MSS(next.Clamp)
	if isNew {
		told := *next
		f.later(func() { f.o.Found(&told) })
	}
	for i := range h.stalls {
		s := &h.stalls[i]
		if now.Sub(s.seen) < 15*time.Second { // it is still stuck, or was as the measurement began
			f.cure(h, s.Stall, s.up)
		}
	}
	h.stalls = nil
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

// cure frees a connection that is stuck, or resets it, so that its client begins anew. Connections
// with a clamp of their own are left alone. The lock is held.
func (f *Finder) cure(h *host, s flow.Stall, up bool) {
	h.used = true
	if s.Clamped || !f.o.Cures(s.Key.Client, s.Key.Server) {
		return
	}
	c := h.flows[s.Key]
	if c == nil {
		if len(h.flows) >= mostHosts {
			clear(h.flows)
		}
		c = new(cure)
		h.flows[s.Key] = c
	}
	c.looks++
	if up && !c.freed {
		if c.freed = f.o.ClearDF(s.Key); c.freed {
			c.looks = 0
			return
		}
	}
	if !c.freed || c.looks > 4 { // the next retransmission may be some seconds away
		delete(h.flows, s.Key)
		f.later(func() { f.o.Reset(s.Key) })
	}
}

// drop forgets a finding. The lock is held.
func (f *Finder) drop(a netip.Addr, h *host) {
	if h.finding == nil {
		return
	}
	h.finding = nil
	clear(h.flows)
	prefix := around(a)
	if delete(f.near[prefix], a); len(f.near[prefix]) == 0 {
		delete(f.near, prefix)
	}
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
		for a, h := range f.hosts {
			switch {
			case h.probing:
			case h.finding == nil:
				idle := len(h.stalls) == 0 || now.Sub(h.stalls[len(h.stalls)-1].seen) > agreement
				if idle && now.After(h.notUntil) {
					f.forget(a)
				}
			case now.Before(h.finding.Expires):
			case h.used && f.o.Known(h.port):
				h.used = false
				h.notUntil = time.Time{}
				f.measure(a, h, now)
			default:
				f.drop(a, h)
			}
		}
	})
}

// stallOf returns the evidence of a stall.
func stallOf(s *flow.Stall) record.Stall {
	return record.Stall{
		Src: s.Key.Client.Addr().String(), SPort: s.Key.Client.Port(),
		Dst: s.Remote.Addr().WithZone("").String(), DPort: s.Remote.Port(), Silent: s.Silent.Microseconds(),
		SndMSS: s.SndMSS, RcvMSS: s.RcvMSS, Unacked: s.Unacked, Sacked: s.Sacked, Backoff: s.Backoff,
		Retransmits: s.Retransmits, OutOfOrder: s.OutOfOrder, Acked: s.Acked, Received: s.Received,
	}
}
