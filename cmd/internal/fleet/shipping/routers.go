//go:build linux

package shipping

import (
	"context"
	"encoding/json"
	"time"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/roster"
	"syntap/cmd/internal/fleet/search"
)

// fleetSince is how far back the page of the fleet counts missing records, and those that are there
// twice.
const fleetSince = 24 * time.Hour

// Routers returns a function that asks the stores of a config for their routers, in JSON; nil
// where the config has none.
func Routers(c *config.Config) func(context.Context) ([]byte, error) {
	if len(c.Fleet.Stores) == 0 {
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		stores, err := search.Open(search.Configured(&c.Fleet), pastTUN(uint32(c.Route.Mark), nil))
		if err != nil {
			return nil, err
		}
		defer stores.Close()
		now := time.Now()
		r, err := roster.Take(ctx, stores, roster.Options{Since: now.Add(-fleetSince), Now: now})
		if err != nil {
			return nil, err
		}
		return json.Marshal(r)
	}
}
