package search

import (
	"context"
	"errors"
	"fmt"
	"net"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/connect"
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
		receiver, err := connect.To(s, dial)
		if err != nil {
			_ = stores.Close()
			return nil, fmt.Errorf("store %s: %w", s.URL, err)
		}
		switch store := receiver.(type) {
		case Engine:
			stores = append(stores, Store{s.URL, store})
		case fleet.Store:
			stores = append(stores, Store{s.URL, Plain{store}})
		default:
			_ = receiver.Close()
		}
	}
	if len(stores) == 0 {
		return nil, hint.Usage(errors.New("no store that can be searched"),
			"name its URL, such as https://logs1:9428")
	}
	return stores, nil
}
