//go:build linux

package keeper

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/host"
	"syntap/cmd/internal/message"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/sent"
	"syntap/tun/flow"
	"syntap/tun/route"
)

// counting compares what routers have sent with their records.
type counting struct {
	tally  *sent.Tally // nil = nothing is compared
	kernel *sent.Kernel
	why    error                  // why nothing is compared
	off    atomic.Pointer[string] // why nothing is compared any more; nil = it is
	closed atomic.Bool            // nothing new leaves, since a router has sent unrecorded flows
	told   chan struct{}          // has one when routers are to be told at once
}

// count has the kernel tell of the first packets of routers' flows, once their rules are there.
func (k *keeper) count(c *config.Config) {
	k.sent.told = make(chan struct{}, 1)
	group, err := host.SentGroup(c)
	if err == nil {
		k.sent.kernel, err = sent.Listen(group)
	}
	if err != nil {
		k.sent.why = err
		return
	}
	k.sent.tally = sent.New(sent.Options{
		Look: func() func() bool {
			if child := k.router.Load(); child != nil {
				return child.writer.Look()
			}
			return func() bool { return true }
		},
		Gated: func(p flow.Proto) bool {
			s := k.records.log.State(time.Now())
			return p == flow.TCP && s.GatedHandshakes || p != flow.TCP && s.GatedDatagrams
		},
		Patience: func() time.Duration {
			c := k.config.Load()
			return max(10*time.Minute, 2*c.Egress.DialTimeout+2*c.Tap.Timeout)
		},
		IsOpen: k.isOpen,
		Found:  k.unrecorded,
	})
}

// isOpen reports whether a process has a socket between two ends, as a router has it.
func (k *keeper) isOpen(local, remote netip.AddrPort) bool {
	if owner.IsOpen(local, remote, 0) {
		return true
	}
	link, err := net.InterfaceByName(k.config.Load().Egress.Interface)
	return err == nil && owner.IsOpen(local, remote, link.Index)
}

// runCount compares until ctx ends.
func (k *keeper) runCount(ctx context.Context) {
	if k.sent.tally == nil {
		return
	}
	defer k.sent.kernel.Close()
	if err := k.sent.tally.Run(ctx, k.sent.kernel); err != nil {
		k.log.WithError(err).Error("connections are not compared with records any more")
	}
}

// mostUnrecorded is how many destinations of unrecorded flows are named at a time.
const mostUnrecorded = 64

// unrecorded records flows that routers have sent unrecorded, and closes the way where the config
// says so.
func (k *keeper) unrecorded(all []sent.Unrecorded) {
	if !k.proves() {
		return
	}
	others := 0
	for i, u := range all {
		if i >= mostUnrecorded {
			others += u.Flows
			continue
		}
		k.records.log.Finding(findingOf(u))
		k.log.WithField("flows", u.Flows).
			Errorf("the router has sent unrecorded: %v to %s: %s", u.Proto, place(u.Proto, u.Remote), u.Reason)
	}
	if others > 0 {
		k.records.log.Finding(findingOf(sent.Unrecorded{Flows: others}))
		k.log.WithField("flows", others).Error("the router has sent unrecorded, to many other places")
	}
	if k.config.Load().Route.Enforce == route.EnforceReject {
		k.closeWay()
	}
	put(k.sent.told, struct{}{})
}

// sameMark is why nothing is compared any more.
const sameMark = "another router on this host has the same route.mark"

// proves reports whether flows without a record prove anything. Once they do not, nothing is
// compared until the service is started again.
func (k *keeper) proves() bool {
	if k.sent.off.Load() != nil {
		return false
	}
	if host.SourcesMove() {
		k.log.WithField("hint", "sysctl -w net.ipv4.ip_dynaddr=0, and restart the service").
			Warn(host.MovingSources + ": they are not compared with records any more")
		k.compareNoMore(host.MovingSources)
		return false
	}
	same, err := k.host.SameMark()
	if err != nil {
		k.log.WithError(err).Warn("cannot tell whether another router has the same route.mark")
	}
	if same {
		k.log.WithField("hint", "give one of them another route.mark, and restart it and this one").
			Warn(sameMark + ": its packets cannot be told from this one's, and are not compared with records any more")
		k.compareNoMore(sameMark)
	}
	return !same
}

// compareNoMore has nothing compared until the service is started again.
func (k *keeper) compareNoMore(why string) {
	k.sent.off.CompareAndSwap(nil, &why)
	put(k.sent.told, struct{}{})
}

// place returns a destination in words.
func place(p flow.Proto, remote netip.AddrPort) string {
	if p == flow.ICMP {
		return remote.Addr().String()
	}
	return remote.String()
}

func findingOf(u sent.Unrecorded) *record.Finding {
	f := record.Finding{
		Header: record.Header{Time: time.Now()}, Kind: record.Unrecorded, Confidence: record.High, Flows: u.Flows,
	}
	if a := u.Remote.Addr(); a.IsValid() {
		f.Proto, f.Dst, f.DPort, f.Family = u.Proto.String(), a.String(), u.Remote.Port(), 4
		if a.Is6() {
			f.Family = 6
		}
	}
	return &f
}

// closeWay has nothing new leave until the service is started again: the router is ended, the next
// one gets no sockets, and nftables drops what other holders of a socket begin.
func (k *keeper) closeWay() {
	if k.sent.closed.Swap(true) {
		return
	}
	if v := k.sockets.Load(); v != nil {
		v.Refuse()
	}
	k.host.Refuse()
	if c := k.router.Load(); c != nil {
		_ = c.cmd.Process.Kill()
	}
	k.log.WithField("hint", "find out how the router was taken over, and restart the service").
		Error("nothing new leaves the host by the router from now on (route.enforce: reject)")
}

func (k *keeper) sentState() message.SentState {
	found := k.records.log.Stats().Found
	s := message.SentState{
		Stats: k.sent.tally.Stats(), Closed: k.sent.closed.Load(),
		Invalid:    found[audit.Found{Kind: record.InvalidRecord}],
		Unrecorded: found[audit.Found{Kind: record.Unrecorded}],
	}
	if k.sent.why != nil {
		s.Why = k.sent.why.Error()
	} else if why := k.sent.off.Load(); why != nil {
		s.Why = *why
	}
	return s
}

// tellSent tells routers how the comparison goes, until ctx ends.
func (k *keeper) tellSent(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var told message.SentState
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.sent.told:
		}
		if now := k.sentState(); now != told {
			_ = k.router.Load().send(message.Order{Sent: &now}) // the next router is told at its start
			told = now
		}
	}
}
