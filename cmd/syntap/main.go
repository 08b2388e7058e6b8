package main

import (
	"os"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/journal"
)

func main() {
	runAsPart()
	os.Exit(hint.Report(journal.Writer(os.Stderr, journal.Error), newRootCommand().Execute()))
}
