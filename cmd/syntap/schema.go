package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/record/schema"
)

func newSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the records",
		Long: `Print the JSON Schema (2020-12) of the records in JSON logs. Its $id ends in its
version: a new key or type of record raises the second number, another change
the first.`,
		Example: "  syntap schema | jq '.\"$defs\".handshake.properties | keys'",
		Args:    noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), schema.Text())
			return err
		},
	}
}
