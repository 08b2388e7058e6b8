package blackhole

import (
	"cmp"
	"time"

	"syntap/tun/flow"
)

// trial is the time in which a segment that was lost four times is sent again.
const trial = 8 * time.Second

// cure frees a connection that is stuck, or resets it, so that its client begins anew. Connections
// whose packets are short enough are left alone. The lock is held.
func (f *Finder) cure(h *host, s flow.Stall, up bool) {
	h.used = true
	if !h.explains(s, up) || !f.o.Cures(s.Key.Client, s.Key.Server) {
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
	if s.Acked > c.acked {
		c.acked, c.looks = s.Acked, 0
	}
	c.looks++
	switch {
	case !c.freed:
		if c.freed = f.free(h, s, up); c.freed {
			c.looks, c.from = 0, s.Acked
			return
		}
	case up && s.Acked >= c.from+uint64(s.SndMSS): // full segments pass, and what stalls it now is loss
		return
	}
	if !c.freed || c.looks > 4 { // the next retransmission may be some seconds away
		delete(h.flows, s.Key)
		f.later(func() { f.o.Reset(s.Key) })
	}
}

// explains reports whether a host's finding is the reason for a stall.
func (h *host) explains(s flow.Stall, up bool) bool {
	if s.ClientLeg && up {
		return s.Packet > h.finding.Passes
	}
	return !s.Clamped || h.finding.Passes == 0 && int(s.AdvMSS) > h.finding.Clamp
}

// coversLate reports whether a host's finding is likely to be the reason for which a connection is
// stuck whose full segments have passed before. It has more patience than where none have, as a
// path that fails for a second looks the same.
func (h *host) coversLate(s flow.Stall, up bool) bool {
	if d := h.finding.Direction; d != "both" && (d == "up") != up {
		return false
	}
	return up && s.Backoff >= sureBackoff || !up && s.Silent >= sureSilence
}

// patience is the time after which connections are cured without a finding, or its exact sizes.
// Most findings are made before.
const patience = 5 * time.Second

// cureEarly cures a connection that is certain to be stuck in a black hole, though a measurement
// goes on, as under loss: it has found so by now, or the connection shows it as on a port where
// nothing is measured. The lock is held.
func (f *Finder) cureEarly(e end, h *host, s flow.Stall, up bool) {
	if up {
		f.try(e, h, s)
	}
	if up && h.narrow.Up.Hole || !up && h.narrow.Down.Hole {
		if s.Silent >= patience {
			f.cure(h, s, up)
		}
		return
	}
	if at := h.suspect(s.Key); at != nil && at.up == up && at.isSure() && at.outlasts() {
		f.later(func() { f.soFar(e, h, Path{Up: Way{Hole: up}, Down: Way{Hole: !up}}) })
	}
}

// soFar takes what is known while a measurement goes on. It is called without the lock.
func (f *Finder) soFar(e end, h *host, path Path) {
	path, _ = f.compareWithOthers(e, path)
	f.locked(func() {
		if h.finding == nil {
			h.opened()
			h.add(path)
		}
	})
}

// add adds ways that are known to be narrow, with the sizes if they are known.
func (h *host) add(path Path) {
	if !path.hole() {
		return
	}
	h.since = time.Now()
	for to, way := range map[*Way]Way{&h.narrow.Up: path.Up, &h.narrow.Down: path.Down} {
		if way.Hole && (!to.Hole || way.Passes > 0) {
			*to = way
		}
	}
}

// free has the packets of a connection that is stuck pass, and reports whether it can.
func (f *Finder) free(h *host, s flow.Stall, up bool) bool {
	if s.ClientLeg {
		return f.o.LowerClientMTU(s.Key, cmp.Or(h.finding.Passes, likely))
	}
	return up && f.o.ClearDF(s.Key)
}

// try frees an upload without a finding, by way of trial: that it goes on then is evidence, even
// where nothing shorter than a full segment has been acknowledged. Before, a handshake has to pass
// and full segments not, as an upload also goes on when a path that has failed works again. A
// finding, which has the next one run, comes before in most cases. The lock is held.
func (f *Finder) try(e end, h *host, s flow.Stall) {
	if at := h.suspect(s.Key); at == nil || !at.outlasts() {
		return
	}
	if s.Clamped || s.Backoff < sureBackoff || s.Silent < patience || len(h.flows) >= mostStalls || h.flows[s.Key] != nil ||
		!f.o.Cures(s.Key.Client, s.Key.Server) || !f.o.ClearDF(s.Key) {
		return
	}
	h.flows[s.Key] = &cure{freed: true, from: s.Acked}
	f.probing.Go(func() {
		freed := f.goesOn(s)
		f.locked(func() {
			if !freed {
				delete(h.flows, s.Key)
				return
			}
			if at := h.suspect(s.Key); at != nil {
				at.freed, at.seen = true, time.Now()
			}
			switch {
			case h.finding != nil:
			case f.o.Known(h.port) && !h.small: // the measurement finds the sizes
				f.later(func() { f.soFar(e, h, Path{Up: Way{Hole: true}}) })
			default:
				f.compare(e, h, true, time.Now())
			}
		})
	})
}

// goesOn reports whether a connection has a full segment acknowledged by the time of its next
// retransmission.
func (f *Finder) goesOn(s flow.Stall) bool {
	until := time.Now().Add(trial)
	for time.Now().Before(until) {
		select {
		case <-f.ctx.Done():
			return false
		case <-time.After(trial / 40):
		}
		acked, ok := f.o.Acked(s.Key)
		if !ok || acked >= s.Acked+uint64(s.SndMSS) {
			return ok
		}
	}
	return false
}
