package search

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/hint"
)

// Stores are stores that can be searched, the one to ask first.
type Stores []Store

// Close closes the connections.
func (s Stores) Close() error {
	var errs []error
	for _, store := range s {
		errs = append(errs, store.Close())
	}
	return errors.Join(errs...)
}

// Configured returns the stores that a config names for those who read.
func Configured(c *config.Fleet) []config.FleetStore {
	if len(c.Query) > 0 {
		return c.Query
	}
	return c.Stores
}

// Open returns those of some stores that can be searched: it is an error if none can. It does not
// connect. A nil dial opens connections as the host does.
func Open(
	all []config.FleetStore, dial func(ctx context.Context, network, address string) (net.Conn, error),
) (stores Stores, err error) {
	for _, s := range all {
		if !strings.HasPrefix(s.URL, "https://") && !strings.HasPrefix(s.URL, "http://") {
			continue
		}
		client, err := victorialogs.New(otlp.Options{
			URL: s.URL, CA: s.CA, Cert: s.Cert, Key: s.Key, Token: s.Token, Dial: dial,
		})
		if err != nil {
			_ = stores.Close()
			return nil, fmt.Errorf("store %s: %w", s.URL, err)
		}
		stores = append(stores, Store{URL: s.URL, Client: client})
	}
	if len(stores) == 0 {
		return nil, hint.Usage(errors.New("no store that can be searched"),
			"name the URL of a VictoriaLogs, such as https://logs1:9428")
	}
	return stores, nil
}
