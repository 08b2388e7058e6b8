package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man [DIR]",
		Short: "Print the man page",
		Long: `Print syntap(1) in the format of man, or write it and the page of each command,
such as syntap-run(1), to a directory. SOURCE_DATE_EPOCH sets their date.`,
		Example: "  syntap man | man -l -",
		Args:    cobra.MaximumNArgs(1),

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			header := &doc.GenManHeader{Section: "1", Source: "syntap", Manual: "User Commands"}
			if len(args) == 0 {
				return doc.GenMan(cmd.Root(), header, cmd.OutOrStdout())
			}
			return doc.GenManTree(cmd.Root(), header, args[0])
		},
	}
}
