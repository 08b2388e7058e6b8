package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
)

func newVerifyCommand() *cobra.Command {
	var o chain.Verifying
	var ofFleet verifyFleetFlags
	cmd := &cobra.Command{
		Use:   "verify [flags] [FILE...]",
		Short: "Check the hash chain of JSON logs",
		Long: `Check JSON logs that were written with "chain: true": each record has the hash of the
one before it. Name all files of a log, including rotated and compressed ones, in any
order. Every record that is missing, altered, moved or cut short is reported by its seq,
with exit status 1.

Each run that ends in order counts its records and the frames that came out of the TUN.
Verify compares these counts with the log, and checks that each frame was handed on, or
dropped and counted; if not, the exit status is 1. A run without an end was killed.

The head of a log proves where it ends. It has the seq and the hash of the last record, and
is in NAME.head beside the log, and where "chain_anchor" copies it: in the journal (--anchor)
or in a file elsewhere (--head). A program that can write the log can also write NAME.head, so
keep a copy, or the output of verify, out of its reach. Without a key it can also make another
chain.

With --fleet, check the logs of all routers in a store. Heads are those that routers keep there
(chain_anchor: [fleet]), and files: copies of NAME.head or NAME.fleet beside a router's log, or
the output of "syntap fleet --heads".`,
		Example: `  syntap verify --key /etc/syntap/key /var/log/syntap/handshakes*json*
  syntap verify --key /etc/syntap/key --anchor --head /mnt/elsewhere/syntap.head \
    /var/log/syntap/handshakes*json*
  syntap verify --fleet --master /root/fleet.key --head heads-of-yesterday`,
		Args: ofFleet.args,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if ofFleet.on {
				return ofFleet.run(cmd, &o)
			}
			v, err := chain.Verify(cmd.Context(), args, o)
			if err != nil {
				return err
			}
			if err := broken(&v); err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), terminal.CleanLines(verified(&v)))
			return err
		},
	}
	cmd.Flags().StringVar(&o.Key, "key", "", "the `FILE` of the key that the log was written with (chain_key)")
	cmd.Flags().StringArrayVar(&o.Heads, "head", nil, "compare the log with the heads in this `FILE` too (chain_anchor)")
	cmd.Flags().BoolVar(&o.Journal, "anchor", false, "compare the log with its heads in systemd's journal too (chain_anchor)")
	ofFleet.add(cmd)
	return cmd
}

// broken returns the break of a log.
func broken(v *chain.Verified) error {
	var all hint.List
	if v.Unproven {
		all = append(all, hint.Fail(errors.New("nothing is proven: the log was written with a key"),
			"name the file of its chain_key with --key"))
	}
	if v.Unchained {
		all = append(all, hint.Fail(errors.New("nothing is proven: the log has no chain"),
			"write it with chain: true, see syntap-config(5)"))
	}
	for _, b := range v.Breaks {
		all = append(all, errors.New(b))
	}
	switch {
	case all != nil:
		return all
	case v.Records == 0:
		return errors.New("no records")
	default:
		return nil
	}
}

// verified names the proof that a log without breaks gives.
func verified(v *chain.Verified) string {
	text := fmt.Sprintf("%s in %s, all as they were written: seq %d to %d, last hash %s\n",
		counted(int(v.Records), "record"), counted(v.Files, "file"), v.First, v.Last, v.Hash)
	switch vouch := vouch(v.Heads); {
	case v.Heads == 0:
		text += "the end is not proven: no head vouches for it\n"
	case v.Vouched < v.Last:
		text += fmt.Sprintf("%s for what stands up to seq %d, and none for the rest\n", vouch, v.Vouched)
	case v.Ended:
		text += vouch + " for the end, and the last run has ended in order\n"
	default:
		text += vouch + " for the end; the last run goes on, or was killed\n"
	}
	text += complete(v.Runs)
	if !v.Keyed {
		text += "without a key this finds accidents, but nothing is proven against those who can write the log\n"
	}
	return text
}

// maxRuns bounds the list of runs without an end.
const maxRuns = 10

// complete says of the runs of a log without breaks which ones have all their records in it.
func complete(runs []chain.Run) (text string) {
	whole, frames, died, open := 0, uint64(0), uint64(0), 0
	for i, r := range runs {
		name := "run " + r.ID
		if r.ID == "" {
			name = "a run without id"
		}
		name += fmt.Sprintf(", seq %d to %d,", r.First, r.Last)
		switch last := i == len(runs)-1; {
		case r.Ended && r.Begins:
			whole++
			if r.Frames != nil {
				frames += r.Frames.Read
				died += r.Frames.Died
			}
		case r.Ended:
			text += name + " ended in order, but its first records were rotated away\n"
		case last:
			text += name + " goes on, or was killed: how many records it wrote cannot be told\n"
		default:
			if open++; open <= maxRuns {
				text += name + " was killed: how many records it wrote cannot be told\n"
			}
		}
	}
	if open > maxRuns {
		text += fmt.Sprintf("%d more runs were killed\n", open-maxRuns)
	}
	const account = "as many records as it counted, and all %d frames of the TUN are accounted for%s\n"
	but := ""
	if died > 0 {
		but = fmt.Sprintf(", but for %d that were read by routers which died", died)
	}
	switch {
	case whole == 1:
		text = fmt.Sprintf("1 run is complete: it has "+account, frames, but) + text
	case whole > 1:
		text = fmt.Sprintf("%d runs are complete: each has "+account, whole, frames, but) + text
	}
	return text
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
