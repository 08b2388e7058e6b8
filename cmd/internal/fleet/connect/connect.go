// Package connect makes the receivers of records that a config names: its URL says which engine a
// store is.
package connect

import (
	"context"
	"net"
	"strings"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/jetstream"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/victorialogs"
)

// Dial opens a connection; nil stands for net.Dialer.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// To returns the receiver of a store of the config: a [fleet.Store] but for plain OTLP. It reads
// the files of the config, and does not connect.
func To(c config.FleetStore, dial Dial) (fleet.Receiver, error) {
	o := otlp.Options{CA: c.CA, Cert: c.Cert, Key: c.Key, Token: c.Token, Dial: dial}
	var plain bool
	if o.URL, plain = strings.CutPrefix(c.URL, config.OTLPScheme); plain {
		return otlp.NewReceiver(o)
	}
	if strings.HasPrefix(o.URL, "nats://") || strings.HasPrefix(o.URL, "tls://") {
		return jetstream.New(o)
	}
	return victorialogs.New(o)
}
