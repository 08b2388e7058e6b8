package main

import (
	"bufio"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/query"
	"syntap/cmd/internal/record"
)

const diffHelp = `Diff compares two JSON logs. It prints the connections of NEW whose like is not in OLD, the first
of each: with the same server (its name, or without one its address), port, protocol and process.
One whose process is not known is like that of any process.
A DNS query is new where it asks for a new name, or a new server. The exit status is 1 if there
is anything new.

OLD and NEW may be compressed, and "-" is standard input. A log that syntap has rotated is read
with all its files.`

func newDiffCommand() *cobra.Command {
	format := newChoice(string(query.Line), string(query.JSON), string(query.CSV))
	cmd := &cobra.Command{
		Use:     "diff [flags] OLD NEW",
		Short:   "Show the connections of one log that another has not",
		Long:    diffHelp,
		Example: "  syntap diff last-build.json this-build.json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("want two logs, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q := query.Query{Format: query.Format(format.value)}
			q.Notice = notices(cmd)
			return runDiff(cmd, q, args[0], args[1])
		},
	}
	cmd.Flags().Var(&format, "format", "print in this `FORMAT`: "+format.names())
	return cmd
}

func runDiff(cmd *cobra.Command, q query.Query, a, b string) error {
	if a == logfile.Stdin && b == logfile.Stdin {
		return hint.Usage(errors.New("standard input cannot be both logs"), "")
	}
	older, err := wholeLog(a)
	if err != nil {
		return err
	}
	newer, err := wholeLog(b)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	n, err := query.Diff(q, older, newer, out)
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if n > 0 {
		return hint.Exit(1)
	}
	return nil
}

// wholeLog returns the files of a log, in the order of their records.
func wholeLog(file string) ([]string, error) {
	if file == logfile.Stdin {
		return []string{file}, nil
	}
	files, err := logfile.Files(file)
	if err != nil {
		return nil, err
	}
	return record.InOrder(files)
}
