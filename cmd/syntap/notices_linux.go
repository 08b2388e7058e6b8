package main

import (
	"fmt"
	"io"
	"os"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/host"
	"syntap/cmd/internal/journal"
	"syntap/cmd/internal/terminal"
)

// printNotices prints the notices about this host. An error of the survey prints none: plan and
// check need no privilege, and the host's tables may be closed to the user.
func printNotices(w io.Writer, c *config.Config) {
	notices, err := host.Notices(c, stateDir(os.Getenv))
	if err != nil {
		return
	}
	for _, n := range notices {
		kind, w := "warning", journal.Writer(w, journal.Warning)
		if n.Info {
			kind, w = "note", journal.Writer(w, journal.Notice)
		}
		fmt.Fprintf(w, "syntap: %s: %s\n", kind, terminal.Clean(n.Text)) // it may name links and tables
		if n.Hint != "" {
			fmt.Fprintf(w, "hint: %s\n", terminal.Clean(n.Hint))
		}
	}
}
