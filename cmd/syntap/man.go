package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/manual"
	"syntap/cmd/internal/version"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man [PAGE | DIR]",
		Short: "Print the man page",
		Long: `Print syntap(1), or another PAGE, in the format of man; or write all pages to a
directory. There is one for each command, such as syntap-run, and syntap-config(5)
and syntap-records(5) for the files. SOURCE_DATE_EPOCH sets their date.`,
		Example: "  syntap man | man -l -\n  syntap man syntap-config | man -l -\n  syntap man /tmp",
		Args:    cobra.MaximumNArgs(1),

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			edition, err := thisEdition(os.Getenv)
			if err != nil {
				return err
			}
			pages := manual.Pages(describe(cmd.Root()), edition)
			wanted := append(args, pages[0].Name)[0]
			for _, p := range pages {
				if p.Name == wanted {
					_, err := fmt.Fprint(cmd.OutOrStdout(), p.Text)
					return err
				}
			}
			return writePages(pages, wanted)
		},
	}
}

// writePages writes each page to a file of the directory dir.
func writePages(pages []manual.Page, dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return hint.Fail(fmt.Errorf("%s is neither a page nor a directory", dir),
			`name a page such as "syntap-run", or a directory that exists`)
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.File()), []byte(p.Text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// thisEdition is that of this program, and of today or SOURCE_DATE_EPOCH
// (reproducible-builds.org/specs/source-date-epoch).
func thisEdition(getenv func(string) string) (manual.Edition, error) {
	e := manual.Edition{Version: version.Release(), Date: time.Now().UTC()}
	if epoch := getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return e, hint.Usage(fmt.Errorf("SOURCE_DATE_EPOCH: %q is no number", epoch), "it counts seconds since 1970")
		}
		e.Date = time.Unix(seconds, 0).UTC()
	}
	return e, nil
}

// describe tells the manual about a command and those below it.
func describe(cmd *cobra.Command) manual.Command {
	cmd.InitDefaultHelpFlag()
	c := manual.Command{
		Name: cmd.Name(), Short: cmd.Short, Usage: cmd.UseLine(), Long: cmd.Long, Example: cmd.Example,
	}
	if c.Long == "" {
		c.Long = cmd.Short + "."
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			c.Flags = append(c.Flags, describeFlag(f))
		}
	})
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			c.Commands = append(c.Commands, describe(sub))
		}
	}
	return c
}

func describeFlag(f *pflag.Flag) manual.Flag {
	flag := manual.Flag{Short: f.Shorthand, Long: f.Name, Usage: f.Usage}
	if f.NoOptDefVal == "" { // it takes a value
		flag.Value, flag.Default = f.Value.Type(), f.DefValue
	}
	return flag
}
