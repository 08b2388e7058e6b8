package main

import (
	"os"

	"syntap/cmd/internal/hint"
)

func main() {
	runAsInit()
	os.Exit(hint.Report(os.Stderr, newRootCommand().Execute()))
}
