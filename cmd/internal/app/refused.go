//go:build linux

package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// refusals says which addresses are refused: each once a minute, and of each minute the first few.
// The packet path is not held up.
type refusals struct {
	aMinute int
	say     func(netip.Addr)
	noted   chan netip.Addr
}

const refusalInterval = time.Minute

func newRefusals(aMinute int, say func(netip.Addr)) *refusals {
	return &refusals{aMinute: aMinute, say: say, noted: make(chan netip.Addr, aMinute)}
}

// note takes an address that was refused.
func (r *refusals) note(a netip.Addr) {
	select {
	case r.noted <- a:
	default: // several are being said
	}
}

// run says them until ctx ends.
func (r *refusals) run(ctx context.Context) {
	said, since := map[netip.Addr]bool{}, time.Now()
	say := func(a netip.Addr) {
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
func sayDenied(c *config.Config, log logrus.FieldLogger) func(netip.Addr) {
	return func(a netip.Addr) {
		if within(c.TUN.Addresses)(a) && !a.IsLinkLocalUnicast() {
			log.WithFields(logrus.Fields{"destination": a, "hint": "exec --host-loopback has this host's loopback there"}).
				Warn("denied: it belongs to the TUN, and nothing is there")
			return
		}
		log.WithFields(logrus.Fields{"destination": a, "hint": "egress.allow makes exceptions"}).Warn("denied by egress.deny")
	}
}

// sayStranger says that a client may not send into the TUN.
func sayStranger(log logrus.FieldLogger) func(netip.Addr) {
	return func(a netip.Addr) {
		log.WithFields(logrus.Fields{"source": a, "hint": "add its network to tun.sources"}).
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
			strangers.note(a)
		}
		return known
	}
}
