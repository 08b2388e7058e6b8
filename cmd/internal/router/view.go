//go:build linux

package router

import (
	"maps"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/web"
	"syntap/tap"
	"syntap/tap/policy"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/route"
)

// queueDrops returns the drops of an interface's queue, 0 when it has gone.
func queueDrops(name string) func() uint64 {
	return func() uint64 {
		n, _ := route.QueueDrops(name)
		return n
	}
}

// recorder returns the function that takes finished records, which no caller may change any more.
func (r *router) recorder() func(*record.Attributed) {
	if r.figures == nil && r.attempted == nil {
		return r.log.Record
	}
	return func(record *record.Attributed) {
		if r.attempted != nil {
			r.attemptedHandshake(record)
		}
		r.figures.Handshake(record)
		r.log.Record(record)
	}
}

// begun takes the beginning of a flow without a handshake.
func (a *assembly) begun(d *record.AttributedDatagram) {
	if a.attempted != nil {
		a.attemptedDatagram(d)
	}
	a.log.Datagram(d)
}

// flowDone takes the end of a connection or flow.
func (r *router) flowDone(f flow.Flow) {
	o := record.OpeningOf(&f)
	ended := record.AttributedFlow{Flow: f, NameConflict: conflict(o, &f)}
	r.log.Flow(ended)
}

// counters returns the figures of now.
func (a *assembly) counters() web.Counters {
	taps, stacks, log := a.tap.Stats(), a.stack.Stats(), a.log.Stats()
	c := web.Counters{
		Handshakes:    make(map[string]uint64),
		Drops:         make(map[string]uint64),
		LocalFailures: make(map[string]uint64),
		Flows: map[string]int64{
			"tcp": stacks.TCPFlows.Load(), "udp": stacks.Datagrams.UDP.Load(), "icmp": stacks.Datagrams.Echo.Load(),
		},
		HalfOpen:    stacks.HalfOpen.Load(),
		Memory:      web.Memory(a.stack.Memory()),
		MSSRewrites: taps.MSSRewrites,
		DFRewrites:  taps.DFRewrites,
		MSSRules:    inUse(a.tap.Rules().MSSUse()),
		DFRules:     inUse(a.tap.Rules().DFUse()),
		LogRecords:  log.Records,
		LogLost:     make(map[string]uint64),
		Findings:    a.blackHoles.Findings(),
		Found:       foundIn(a.foundByKeeper(log.Found)),
		Sent:        a.compared(),
		Unsolicited: stacks.Datagrams.Unsolicited.Load(),
		Owners:      a.ownersStatus(),
		Names:       a.names.status(),
		Fleet:       a.stores(),
	}
	maps.Copy(c.LocalFailures, stacks.LocalFailures.Snapshot()) // which is nil without any
	for outcome, n := range taps.Handshakes {
		c.Handshakes[string(outcome)] = n
	}
	for reason, n := range log.Lost {
		c.LogLost[string(reason)] = n
	}
	all := []map[string]uint64{taps.Drops, stacks.Drops(), stacks.InboundDrops()}
	if d := statsOf(a.link); d != nil {
		c.Outbound = web.Traffic{Frames: d.OutboundFrames.Load(), Bytes: d.OutboundBytes.Load()}
		c.Inbound = web.Traffic{Frames: d.InboundFrames.Load(), Bytes: d.InboundBytes.Load()}
		all = append(all, map[string]uint64{"malformed": d.Malformed.Load()})
	}
	for _, drops := range all { // several may drop for the same reason
		for reason, n := range drops {
			c.Drops[reason] += n
		}
	}
	if a.queueDrops != nil {
		c.Drops["tun_queue"] = a.queueDrops()
	}
	if a.pastDrops != nil {
		c.Drops["past_tun"] = a.pastDrops()
	}
	return c
}

// statsOf returns a link's counters as of now; nil where it does not count.
func statsOf(link tun.Link) *tun.Stats {
	if device, ok := link.(interface{ Stats() *tun.Stats }); ok {
		return device.Stats()
	}
	return nil
}

// countFrames returns the function that gives the last record of a run its account of frames;
// nil where the link does not count them.
func countFrames(link tun.Link, t *tap.Tap) func() record.Frames {
	if statsOf(link) == nil {
		return nil
	}
	return func() (f record.Frames) {
		d, taps := statsOf(link), t.Stats()
		malformed := d.Malformed.Load()
		f.Read = d.OutboundFrames.Load() + malformed
		f.Accounted = taps.Passed + malformed
		for _, n := range taps.Drops {
			f.Accounted += n
		}
		return f
	}
}

// foundByKeeper adds the findings of another process to those of this one.
func (r *router) foundByKeeper(counts map[audit.Found]uint64) map[audit.Found]uint64 {
	s := r.sentState()
	if s == nil {
		return counts
	}
	all := maps.Clone(counts)
	all[audit.Found{Kind: record.InvalidRecord}] = s.Invalid
	all[audit.Found{Kind: record.Unrecorded}] = s.Unrecorded
	return all
}

// sentState returns the state of the comparison of connections with records; nil where there is
// none.
func (r *router) sentState() *message.SentState {
	if r.sent == nil {
		return nil
	}
	return r.sent()
}

// compared returns the same for those who ask.
func (r *router) compared() *web.Sent {
	s := r.sentState()
	if s == nil {
		return nil
	}
	return &web.Sent{
		Error: s.Why, Flows: s.Stats.Sent, Own: s.Stats.Own, Unrecorded: s.Stats.Unrecorded,
		Unjudged: s.Stats.Unjudged, Missed: s.Stats.Missed, Closed: s.Closed,
	}
}

func inUse(rules []policy.Use) []web.Rule {
	all := make([]web.Rule, len(rules))
	for i, r := range rules {
		all[i] = web.Rule(r)
	}
	return all
}

// stores returns the state of the stores that the log is sent to.
func (r *router) stores() []fleet.Stats {
	if r.knownStores == nil {
		return nil
	}
	return r.knownStores()
}

// foundIn returns the numbers of findings. All that there may be are named, counted or not.
func foundIn(counts map[audit.Found]uint64) (all []web.Found) {
	for _, of := range []audit.Found{
		{Kind: record.BlackHole, Direction: "up"},
		{Kind: record.BlackHole, Direction: "down"},
		{Kind: record.BlackHole, Direction: "both"},
		{Kind: record.DNSTunnel},
		{Kind: record.InvalidRecord},
		{Kind: record.Unrecorded},
	} {
		all = append(all, web.Found{Kind: string(of.Kind), Direction: of.Direction, Count: counts[of]})
	}
	return all
}
