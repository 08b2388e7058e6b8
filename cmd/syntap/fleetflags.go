package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
)

// fleetFlags say where the logs of a fleet are read. Log, verify, top and fleet have them in
// common.
type fleetFlags struct {
	on     bool
	router string
	urls   []string
}

// add adds the flags to a command that reads a fleet where --fleet is given; does is its verb.
func (f *fleetFlags) add(cmd *cobra.Command, does string) {
	cmd.Flags().BoolVar(&f.on, "fleet", false, does+" the logs of all routers, in a store (fleet.stores)")
	f.addStores(cmd)
}

// addStores adds the flags without --fleet.
func (f *fleetFlags) addStores(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.router, "router", "", "of the fleet, this `ROUTER` only")
	cmd.Flags().StringArrayVar(&f.urls, "store", nil, "ask the store at this `URL`; of several, the first that answers")
}

// alone refuses the flags without --fleet: they would have no effect.
func (f *fleetFlags) alone() error {
	if !f.on && (f.urls != nil || f.router != "") {
		return hint.Usage(errors.New("--store and --router are for the logs of a fleet"), "add --fleet")
	}
	return nil
}

// open returns the stores that the flags name, or that the config has. It does not connect.
func (f *fleetFlags) open(cmd *cobra.Command, file string) (search.Stores, error) {
	named, err := f.named(cmd, file)
	if err != nil {
		return nil, err
	}
	return search.Open(named, nil)
}

// named returns the stores that the flags name, each as the config has it where it has that one, or
// those of the config.
func (f *fleetFlags) named(cmd *cobra.Command, file string) (all []config.FleetStore, err error) {
	if len(f.urls) == 0 {
		c, err := config.Load(usualConfig(cmd, file))
		if err != nil {
			return nil, err
		}
		if all = search.Configured(&c.Fleet); all == nil {
			return nil, hint.Usage(errors.New("no store to ask"),
				"name its URL with --store, or with -c a config with fleet.stores")
		}
		return all, nil
	}
	given := file != ""
	if !given {
		file = config.Find(os.Getenv)
	}
	var known []config.FleetStore
	if c, err := config.Load(file); err == nil {
		known = slices.Concat(c.Fleet.Query, c.Fleet.Stores)
	} else if given {
		return nil, err
	}
	for _, text := range f.urls {
		text, err := config.ParseStore(text)
		if err != nil {
			return nil, hint.Usage(fmt.Errorf("--store: %w", err), hint.Of(err))
		}
		store := config.FleetStore{URL: text}
		if i := slices.IndexFunc(known, func(s config.FleetStore) bool { return s.URL == text }); i >= 0 {
			store = known[i]
		}
		all = append(all, store)
	}
	return all, nil
}

// first returns the first store that answers.
func (f *fleetFlags) first(cmd *cobra.Command, stores search.Stores) (*search.Store, error) {
	return search.First(cmd.Context(), stores, f.router, notices(cmd))
}

// notices returns a function that tells the user a sentence.
func notices(cmd *cobra.Command) func(text string) {
	return func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "syntap: %s\n", terminal.Clean(text)) }
}
