package main

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/version"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Print the versions of syntap, of Go, and of the libraries that carry the traffic.",
		Args:  noArgs,

		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("read build info: the binary has none")
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), versions(info))
			return err
		},
	}
}

// versions lists the modules that decide about the program's behaviour, one a line.
func versions(info *debug.BuildInfo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "syntap %s\n", version.String())
	fmt.Fprintf(&b, "%s %s/%s\n", info.GoVersion, runtime.GOOS, runtime.GOARCH)
	for _, module := range info.Deps {
		switch module.Path {
		case "gvisor.dev/gvisor", "golang.zx2c4.com/wireguard":
			fmt.Fprintf(&b, "%s %s\n", module.Path, module.Version)
		}
	}
	return b.String()
}
