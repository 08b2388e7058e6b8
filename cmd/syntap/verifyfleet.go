package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/fleet/proof"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
)

// verifyFleetFlags are the flags of verify for the logs of a fleet.
type verifyFleetFlags struct {
	fleetFlags
	config, master string
}

func (f *verifyFleetFlags) add(cmd *cobra.Command) {
	f.fleetFlags.add(cmd, "check")
	cmd.Flags().StringVar(&f.master, "master", "", "of the fleet: the `FILE` of the key of which those of the routers are "+
		"made (syntap fleet key)")
	addUsualConfigFlag(cmd, &f.config)
}

// args refuses command lines that name no log, or more than one place of logs.
func (f *verifyFleetFlags) args(_ *cobra.Command, args []string) error {
	if err := f.alone(); err != nil {
		return err
	}
	switch {
	case !f.on && f.master != "":
		return hint.Usage(errors.New("--master is for the logs of a fleet"), "add --fleet")
	case !f.on && len(args) == 0:
		return errors.New("want the files of a log")
	case f.on && len(args) > 0:
		return hint.Usage(errors.New("--fleet checks what is in a store, not files"), "leave one of them out")
	}
	return nil
}

// Bounds of the report on logs that are broken everywhere.
const (
	maxBreaksOfLog = 10
	maxBreaks      = 1000
)

// run verifies the logs of a fleet in the first store that answers.
func (f *verifyFleetFlags) run(cmd *cobra.Command, o *chain.Verifying) error {
	switch {
	case o.Journal:
		return hint.Usage(errors.New("--anchor asks the journal of this host"), "use --head FILE with heads that routers keep")
	case o.Key != "" && f.master != "":
		return hint.Usage(errors.New("--key and --master both say which key"), "leave one of them out")
	}
	stores, err := f.open(cmd, f.config)
	if err != nil {
		return err
	}
	defer stores.Close()
	store, err := f.first(cmd, stores)
	if err != nil {
		return err
	}
	var report fleetReport
	out := bufio.NewWriter(cmd.OutOrStdout())
	missing, err := proof.Verify(cmd.Context(), store.Engine, proof.Options{
		Router: f.router, Key: o.Key, Master: f.master, Heads: o.Heads,
	}, func(log *proof.Log) error {
		text := report.log(log)
		_, err := out.WriteString(terminal.CleanLines(text))
		return err
	})
	if err == nil {
		for _, text := range missing {
			report.broken(text)
		}
		_, err = out.WriteString(report.summary())
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	if err != nil {
		return err
	}
	return report.err()
}

// fleetReport sums up the results of logs.
type fleetReport struct {
	logs, records, unproven int
	routers                 map[string]bool
	errs                    hint.List
	more                    int
}

func (r *fleetReport) broken(text string) {
	if len(r.errs) < maxBreaks {
		r.errs = append(r.errs, errors.New(text))
	} else {
		r.more++
	}
}

// log takes the result of a log, and returns lines for it unless it is broken.
func (r *fleetReport) log(l *proof.Log) string {
	if r.routers == nil {
		r.routers = make(map[string]bool)
	}
	r.routers[l.Router] = true
	r.logs++
	r.records += int(l.Records)
	if l.Unproven {
		r.unproven++
		return ""
	}
	for _, text := range l.Breaks[:min(len(l.Breaks), maxBreaksOfLog)] {
		r.broken(text)
	}
	if more := len(l.Breaks) - maxBreaksOfLog; more > 0 {
		r.broken(fmt.Sprintf("%s: %d more", l.LogID, more))
	}
	if len(l.Breaks) > 0 {
		return ""
	}
	return r.whole(l)
}

// whole names the proof that a log without breaks gives.
func (r *fleetReport) whole(l *proof.Log) string {
	text := fmt.Sprintf("%s: %s, seq %d to %d, last hash %s\n",
		l.LogID, counted(int(l.Records), "record"), l.First, l.Last, l.Hash)
	note := func(format string, args ...any) { text += "  " + fmt.Sprintf(format, args...) + "\n" }
	switch {
	case l.Heads == 0:
		note("the end is not proven: no head vouches for it")
	case l.Vouched < l.Last:
		note("%s for what stands up to seq %d, and none for the rest", vouch(l.Heads), l.Vouched)
	default:
		note("%s for the end", vouch(l.Heads))
	}
	if !l.Begins {
		note("what was before seq %d is not in the store", l.First)
	}
	if l.Partial > 0 {
		note("%s without all members: order and number are proven, content is not", counted(int(l.Partial), "record"))
	}
	return text
}

// vouch says that heads vouch.
func vouch(heads int) string {
	if heads == 1 {
		return "1 head vouches"
	}
	return fmt.Sprintf("%d heads vouch", heads)
}

// summary is the line about all logs.
func (r *fleetReport) summary() string {
	text := fmt.Sprintf("%s in %s of %s", counted(r.records, "record"), counted(r.logs, "log"),
		counted(len(r.routers), "router"))
	if r.err() == nil {
		text += ", all as they were written"
	}
	return text + "\n"
}

// err returns all breaks.
func (r *fleetReport) err() error {
	all := r.errs
	if r.more > 0 {
		all = append(all, fmt.Errorf("%d more", r.more))
	}
	if r.unproven > 0 {
		all = append(all, hint.Fail(fmt.Errorf("nothing is proven of %s: written with a key", counted(r.unproven, "log")),
			"name the file of the key with --key, or of that of which the routers' keys are made with --master"))
	}
	switch {
	case all != nil:
		return all
	case r.logs == 0:
		return errors.New("no records")
	}
	return nil
}
