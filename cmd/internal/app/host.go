//go:build linux

package app

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/tun/route"
)

// hostConfig translates what the config says of the host. The error says why connection tracking
// cannot be used; without it the host is routed by rules alone.
func hostConfig(c *config.Config, stateDir string) (route.Config, error) {
	var missing error
	if c.Route.Table != 0 && len(c.Route.Include) > 0 {
		missing = connTrack()
	}
	return route.Config{
		Name: c.TUN.Name, Addresses: c.TUN.Addresses, Include: c.Route.Include, Exclude: c.Route.Exclude,
		IncludeUIDs: uidRanges(c.Route.IncludeUIDs), ExcludeUIDs: uidRanges(c.Route.ExcludeUIDs),
		KeepInbound: c.Route.KeepInbound, Closed: c.Route.OnCrash == config.Closed,
		Mark: uint32(c.Route.Mark), Table: c.Route.Table, Priority: c.Route.Priority,
		Sources: c.TUN.Sources.Prefixes, Resolvers: resolvers(), Enforce: route.Enforce(c.Route.Enforce),
		ByRules: missing != nil, StateDir: stateDir,
	}, missing
}

// connTrack says why connection tracking cannot be used. A user who may not ask, as of "syntap
// plan", is told nothing.
func connTrack() error {
	err := route.ConnTrack()
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

func uidRanges(ranges []config.Range) []route.UIDRange {
	var all []route.UIDRange
	for _, r := range ranges {
		all = append(all, route.UIDRange(r))
	}
	return all
}

// Plan prints the commands that would do what Run with the same stateDir does to the host, one a
// line.
func Plan(c *config.Config, stateDir string, w io.Writer) error {
	host, _ := hostConfig(c, stateDir) // the plan shows the consequence
	commands, err := route.Plan(host, c.TUN.MTU)
	if err != nil {
		return err
	}
	for _, command := range commands {
		if _, err := fmt.Fprintln(w, command); err != nil {
			return err
		}
	}
	return nil
}

// Notices returns what the operator should know of this host before it is routed by c. The journals
// of other runs stand in stateDir.
func Notices(c *config.Config, stateDir string) ([]route.Notice, error) {
	host, missing := hostConfig(c, stateDir)
	notices, err := route.Notices(host)
	if missing != nil {
		notices = append(notices, route.Notice{
			Text: fmt.Sprintf("nftables with connection tracking is missing (%v): replies are told by their source address, so UDP "+
				"servers on the wildcard address and published ports do not answer", missing),
			Hint: "modprobe -a nf_tables nft_ct nft_socket nft_fib_inet nf_conntrack",
		})
	}
	return notices, err
}

// Cleanup removes what dead runs have left on the host and prints what it did. With crashed, what
// stays closed after a crash is left alone.
func Cleanup(stateDir string, crashed bool, w io.Writer) error {
	all, err := route.Cleanup(stateDir, crashed)
	for _, c := range all {
		switch {
		case c.Running:
			fmt.Fprintf(w, "%s is running, left alone\n", c.Name)
		case c.Kept:
			fmt.Fprintf(w, "%s stays closed, as on_crash says\n", c.Name)
		default:
			for _, command := range c.Commands {
				fmt.Fprintln(w, command)
			}
			fmt.Fprintf(w, "%s cleaned up\n", c.Name)
		}
	}
	if err == nil && len(all) == 0 {
		fmt.Fprintln(w, "nothing to clean up")
	}
	if err != nil {
		return hint.Fail(err, "run it as root, in the network namespace of the run that died")
	}
	return nil
}

// warnStrict names the interfaces that will lose the router's own replies.
func warnStrict(c *config.Config, log logrus.FieldLogger) {
	if c.Route.KeepInbound || len(c.Route.Include) == 0 || connTrack() == nil {
		return
	}
	strict, err := route.StrictReversePath()
	if err != nil {
		log.WithError(err).Warn("cannot read reverse-path filters")
		return
	}
	if len(strict) > 0 {
		log.WithField("interfaces", strict).Warn("a strict reverse-path filter drops the replies to routed traffic: set rp_filter to 2")
	}
}
