//go:build linux

package host

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/hostfile"
	"syntap/cmd/internal/limits"
	"syntap/tun/route"
)

// Config returns the host's part of a config. The error tells why connection tracking cannot be
// used; rules alone then route the host.
func Config(c *config.Config, stateDir string) (route.Config, error) {
	var missing error
	if c.Route.Table != 0 && len(c.Route.Include) > 0 {
		missing = connTrack()
	}
	group, _ := SentGroup(c)
	r := &c.Route
	return route.Config{
		Name: c.TUN.Name, Addresses: c.TUN.Addresses, Include: r.Include, Exclude: r.Exclude,
		IncludeUIDs: r.IncludeUIDs, ExcludeUIDs: r.ExcludeUIDs,
		KeepInbound: r.KeepInbound, Closed: r.OnCrash == config.Closed,
		Mark: uint32(r.Mark), Table: r.Table, Priority: r.Priority,
		Sources: c.TUN.Sources.Prefixes, Resolvers: hostfile.Nameservers, Enforce: r.Enforce,
		ByRules: missing != nil, Sent: group, StateDir: stateDir,
	}, missing
}

// connTrack returns the reason why connection tracking cannot be used. A user without the privilege
// to find out, as of "syntap plan", gets none. It asks the kernel once: to make a table of
// nftables, and to delete it, takes that 10 to 30 ms.
var connTrack = sync.OnceValue(func() error {
	err := route.ConnTrack()
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
})

// Plan prints the shell equivalents of the changes that a run with the same stateDir makes, one a
// line.
func Plan(c *config.Config, stateDir string, w io.Writer) error {
	host, _ := Config(c, stateDir) // without connection tracking the plan has rules alone
	commands, err := route.Plan(host, c.TUN.MTU, Queues(c))
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

// Notices returns facts about this host that the operator should know before c routes its traffic.
// The journals of other runs are in stateDir.
func Notices(c *config.Config, stateDir string) ([]route.Notice, error) {
	host, missing := Config(c, stateDir)
	notices, err := route.Notices(host)
	if missing != nil {
		notices = append(notices, route.Notice{
			Text: fmt.Sprintf("nftables with connection tracking is missing (%v): replies are "+
				"known by their source address, so UDP servers on the wildcard address and "+
				"published ports do not answer", missing),
			Hint: "modprobe -a nf_tables nft_ct nft_socket nft_fib_inet nf_conntrack",
		})
	}
	if name := c.Egress.Interface; name != "" {
		if _, err := net.InterfaceByName(name); err != nil {
			notices = append(notices, route.Notice{
				Text: fmt.Sprintf("egress.interface: there is no interface %s: what enters the TUN goes nowhere", name),
				Hint: "name one that \"ip link\" lists, or bring it up",
			})
		}
	}
	return notices, err
}

// Cleanup undoes the changes of dead runs and prints a report. With crashed, a host that stays
// closed after a crash is left alone.
func Cleanup(stateDir string, crashed bool, w io.Writer) error {
	all, err := route.Cleanup(stateDir, crashed)
	for _, c := range all {
		switch {
		case c.Running:
			fmt.Fprintf(w, "%s is running, left alone\n", c.Name)
		case c.Kept:
			fmt.Fprintf(w, "%s stays closed, as on_crash says\n", c.Name)
		default:
			printCleaned(w, c)
		}
	}
	if err == nil && len(all) == 0 {
		fmt.Fprintln(w, "nothing to clean up")
	}
	return explainCleanup(err)
}

// CleanupAs undoes the changes that a run with the config c makes, whose journal is damaged or
// lost, and prints a report.
func CleanupAs(c *config.Config, stateDir string, w io.Writer) error {
	host, _ := Config(c, stateDir)
	cleaned, err := route.CleanupAs(host)
	cleaned.Failed = err != nil
	printCleaned(w, cleaned)
	return explainCleanup(err)
}

func printCleaned(w io.Writer, c route.Cleaned) {
	for _, command := range c.Commands {
		fmt.Fprintln(w, command)
	}
	if !c.Failed {
		fmt.Fprintf(w, "%s cleaned up\n", c.Name)
	}
}

func explainCleanup(err error) error {
	switch {
	case errors.Is(err, route.ErrJournal):
		return hint.Fail(err, forceHint)
	case errors.Is(err, route.ErrRunning):
		return hint.Fail(err, "stop it first")
	case errors.Is(err, os.ErrPermission):
		return hint.Fail(err, "run it as root, in the network namespace of the run that died")
	}
	return err
}

// warnStrict logs the interfaces that will lose the router's own replies.
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
		log.WithField("interfaces", strict).Warn("a strict reverse-path filter drops the replies " +
			"to routed traffic: set rp_filter to 2")
	}
}

// Queues returns the number of queues of a config's TUN: one for each processor that Go may use,
// which is half of all.
func Queues(c *config.Config) int { return c.TUN.Queues.For(limits.Workers()) }
