//go:build linux

package router

import (
	"context"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// refusals logs which addresses are refused: each once a minute, and of each minute the first few.
// It does not hold up the packet path.
type refusals struct {
	aMinute int
	say     func(refused)
	noted   chan refused
}

// refused is an address, the name that it stands for, if it does, and the rule that forbids it with
// its reason, if one does.
type refused struct {
	netip.Addr
	name         string
	rule, reason string
}

const refusalInterval = time.Minute

func newRefusals(aMinute int, say func(refused)) *refusals {
	return &refusals{aMinute: aMinute, say: say, noted: make(chan refused, aMinute)}
}

// note takes an address that was refused.
func (r *refusals) note(a refused) {
	select {
	case r.noted <- a:
	default: // several are being said
	}
}

// run says them until ctx ends.
func (r *refusals) run(ctx context.Context) {
	said, since := map[refused]bool{}, time.Now()
	say := func(a refused) {
		if time.Since(since) > refusalInterval {
			clear(said)
			since = time.Now()
		}
		if !said[a] && len(said) < r.aMinute {
			said[a] = true
			r.say(a)
		}
	}
	for {
		select {
		case a := <-r.noted:
			say(a)
			continue
		default:
		}
		select {
		case a := <-r.noted:
			say(a)
		case <-ctx.Done():
			return
		}
	}
}

// sayDenied says that policy forbids a destination.
func sayDenied(c *config.Config, log logrus.FieldLogger) func(refused) {
	return func(a refused) {
		if within(c.TUN.Addresses)(a.Addr) && !a.IsLinkLocalUnicast() {
			log.WithFields(logrus.Fields{"destination": a.Addr, "hint": "exec --host-loopback has this host's loopback there"}).
				Warn("denied: it belongs to the TUN, and nothing is there")
			return
		}
		fields := logrus.Fields{"destination": a.Addr}
		if a.name != "" {
			fields["name"] = a.name
		}
		switch a.rule {
		case "egress.deny":
			fields["hint"] = "egress.allow makes exceptions"
		default:
			fields["reason"] = a.reason
		}
		log.WithFields(fields).Warn("denied by " + a.rule)
	}
}

// sayStranger says that a client may not send into the TUN.
func sayStranger(log logrus.FieldLogger) func(refused) {
	return func(a refused) {
		log.WithFields(logrus.Fields{"source": a.Addr, "hint": "add its network to tun.sources"}).
			Warn("dropped: tun.sources does not name the client")
	}
}

// knownTo returns sources, with each address that it refuses noted.
func knownTo(sources func(netip.Addr) bool, strangers *refusals) func(netip.Addr) bool {
	if sources == nil {
		return nil
	}
	return func(a netip.Addr) bool {
		known := sources(a)
		if !known {
			strangers.note(refused{Addr: a})
		}
		return known
	}
}
