package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/connect"
	"syntap/cmd/internal/fleet/resend"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/terminal"
)

// resendWait is how long a store may take to show the records that it was sent.
const resendWait = 30 * time.Second

func newFleetResendCommand() *cobra.Command {
	var file, since string
	cmd := &cobra.Command{
		Use:   "resend --since TIME [-c FILE]",
		Short: "Bring records to stores that have lost them",
		Long: `On a router, go through the records of its log that the stores have confirmed, and send each store
those that it has lost. It may run beside syntap. "syntap fleet" and "syntap verify --fleet" list
the missing records.`,
		Example: "  syntap fleet resend --since 2d",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since == "" {
				return hint.Usage(errors.New("want the time of the first record to look at"), "give it as --since 2d")
			}
			from, err := filter.ParseTime(since, time.Now())
			if err != nil {
				return hint.Usage(fmt.Errorf("--since: %w", err), hint.Of(err))
			}
			c, err := config.Load(usualConfig(cmd, file))
			if err != nil {
				return err
			}
			return resendAll(cmd, c, from)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "look at records from this `TIME` on: 2026-11-23 07:50, yesterday, or 2h or 2d ago")
	addUsualConfigFlag(cmd, &file)
	return cmd
}

// resendAll sends the stores of a config the records that they lack.
func resendAll(cmd *cobra.Command, c *config.Config, since time.Time) error {
	sink := c.Fleet.Sink(c.Tap.Log)
	if sink == nil {
		return hint.Usage(errors.New("the config ships no log"), "name with -c one that has fleet.stores")
	}
	release, _, err := logfile.LockFleet(sink.Path)
	if err != nil {
		return hint.Fail(fmt.Errorf("lock the place of the log in its stores: %w", err),
			"wait until the other resend is over; without one, run it as the user of syntap")
	}
	defer release()
	position, err := fleet.ReadPosition(sink.Path)
	if err != nil {
		return err
	}
	router := c.Fleet.Router
	if router == "" {
		if router, err = os.Hostname(); err != nil {
			return err
		}
	}
	var errs hint.List
	for _, s := range c.Fleet.Stores {
		place, ok := position.Of(s.URL)
		if !ok || place.Seq < place.Begin {
			fmt.Fprintf(cmd.OutOrStdout(), "%s has confirmed nothing yet\n", terminal.Clean(s.URL))
			continue
		}
		o := resend.Options{
			Path: sink.Path, ID: fleet.LogID{Router: router, Log: place.Log}, First: place.Begin, Last: place.Seq,
			Since: since, Fields: fleet.FieldsOf(c.Fleet.Keys()), Wait: resendWait,
		}
		if err := resendTo(cmd, s, o); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.URL, err))
		}
	}
	if errs != nil {
		return errs
	}
	return nil
}

func resendTo(cmd *cobra.Command, s config.FleetStore, o resend.Options) error {
	receiver, err := connect.To(s, nil)
	if err != nil {
		return err
	}
	defer receiver.Close()
	store, ok := receiver.(fleet.Store)
	if !ok {
		return errors.New("it cannot be asked which records it has")
	}
	r, err := resend.Run(cmd.Context(), store, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %s looked for, %d sent\n", terminal.Clean(s.URL), counted(int(r.Looked), "record"), r.Sent)
	if r.Missing > 0 {
		return hint.Fail(fmt.Errorf("%s sent, and not there yet", counted(int(r.Missing), "record")), "run it again in a minute")
	}
	return nil
}
