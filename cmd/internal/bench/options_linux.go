package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"syntap/cmd/internal/hint"
)

// options are the command line.
type options struct {
	settings
	repetitions int
	only        *regexp.Regexp // names of cases
	output      string         // gets the report
	summary     string         // gets its short form
	routers     []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Usage: bench [flags] [ROUTER...]\n\nMeasure routers, all that are installed unless named: %s.\n\n",
			strings.Join(names(routers()), ", "))
		flags.PrintDefaults()
	}
	seconds := flags.Float64("seconds", 3, "how long each load is measured")
	flags.IntVar(&o.repetitions, "n", 3, "how often all is repeated; the table has medians")
	flags.IntVar(&o.held, "hold", 5000, "idle connections for the memory figure, fewer where the limit of open files is lower")
	flags.IntVar(&o.mtu, "mtu", 1500, "of the TUN, where the case names none")
	only := flags.String("only", "", "measure only cases whose name matches this `REGEXP`, such as \"8 streams|idle\"")
	flags.StringVar(&o.output, "o", "", "write the report into `FILE`, not to standard output: between\n"+
		strings.Join(marks[:], "\n"))
	flags.StringVar(&o.summary, "summary", "", "write a short table into `FILE` in the same way")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, hint.Exit(0)
		}
		return o, hint.Exit(hint.StatusUsage) // said already
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, hint.Usage(fmt.Errorf("-only: %w", err), "")
	}
	o.window = time.Duration(*seconds * float64(time.Second))
	o.beside = 10_000
	o.routers = flags.Args()
	switch {
	case !(*seconds >= 0.01 && *seconds <= 3600):
		return o, hint.Usage(fmt.Errorf("-seconds %v is not between 0.01 and 3600", *seconds), "leave it out to use 3")
	case o.repetitions < 1 || o.held < 1:
		return o, hint.Usage(errors.New("-n and -hold are at least 1"), "")
	case o.mtu < 576 || o.mtu > 65535:
		return o, hint.Usage(fmt.Errorf("-mtu %d is not between 576 and 65535", o.mtu), "leave it out to use 1500")
	}
	return o, nil
}
