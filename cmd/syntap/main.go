package main

import (
	"os"

	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/namespace"
)

func main() {
	namespace.Main() // does not return in the process that exec starts as init of its namespaces
	os.Exit(hint.Report(os.Stderr, newRootCommand().Execute()))
}
