package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/hint"
)

func newVerifyCommand() *cobra.Command {
	var key string
	cmd := &cobra.Command{
		Use:   "verify [--key FILE] FILE...",
		Short: "Check the hash chain of JSON logs",
		Long: `Verify checks JSON logs that were written with "chain: true": each record vouches for the one before it. Name all files
of a log, rotated and compressed ones too, in any order. Every record that is missing, was altered, moved or cut short is
reported by its seq, with exit status 1.

What stands at the end of a log nothing vouches for yet: who removes the last records leaves a shorter log. Keep the seq and
the hash that verify prints in another place and compare. Without a key, who can write the log can also make another chain.`,
		Example: "  syntap verify --key /etc/syntap/key /var/log/syntap/handshakes*json*",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("want the files of a log")
			}
			return nil
		},

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := audit.Verify(args, key)
			if err != nil {
				return err
			}
			if len(v.Breaks) > 0 {
				var all hint.List
				for _, b := range v.Breaks {
					all = append(all, errors.New(b))
				}
				return all
			}
			if v.Records == 0 {
				return errors.New("no records")
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s in %s, all as they were written: seq %d to %d, last hash %s\n",
				counted(int(v.Records), "record"), counted(v.Files, "file"), v.First, v.Last, v.Hash)
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the `FILE` of the key that the log was written with (chain_key)")
	return cmd
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
