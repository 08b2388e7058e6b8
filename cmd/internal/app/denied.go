package app

import (
	"context"
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// denials says which destinations are denied: of each minute the first few. The packet path is not held up.
type denials struct {
	config *config.Config
	log    logrus.FieldLogger
	noted  chan netip.Addr
}

const (
	denialsAMinute = 4
	denialInterval = time.Minute
)

func newDenials(c *config.Config, log logrus.FieldLogger) *denials {
	return &denials{config: c, log: log, noted: make(chan netip.Addr, denialsAMinute)}
}

// note takes the destination of a connection or datagram that was denied.
func (d *denials) note(server netip.Addr) {
	select {
	case d.noted <- server:
	default: // several are being said
	}
}

// run says them until ctx ends.
func (d *denials) run(ctx context.Context) {
	said, since := map[netip.Addr]bool{}, time.Now()
	say := func(a netip.Addr) {
		if time.Since(since) > denialInterval {
			clear(said)
			since = time.Now()
		}
		if !said[a] && len(said) < denialsAMinute {
			said[a] = true
			d.say(a)
		}
	}
	for {
		select {
		case a := <-d.noted:
			say(a)
			continue
		default:
		}
		select {
		case a := <-d.noted:
			say(a)
		case <-ctx.Done():
			return
		}
	}
}

func (d *denials) say(a netip.Addr) {
	if within(d.config.TUN.Addresses)(a) && !a.IsLinkLocalUnicast() {
		d.log.WithFields(logrus.Fields{"destination": a, "hint": "exec --host-loopback has this host's loopback there"}).Warn("denied: it belongs to the TUN, and nothing is there")
		return
	}
	d.log.WithFields(logrus.Fields{"destination": a, "hint": "egress.allow makes exceptions"}).Warn("denied by egress.deny")
}
