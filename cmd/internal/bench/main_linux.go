package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		err = runChild(os.Args[2:], os.Stdin, os.Stdout)
	} else {
		ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
		defer stop()
		err = bench(ctx, os.Args[1:])
	}
	if err != nil {
		err = fmt.Errorf("bench: %w", err)
	}
	os.Exit(hint.Report(os.Stderr, err))
}

// bench runs the cases that the command line names.
func bench(ctx context.Context, args []string) error {
	o, err := parse(args, os.Stderr)
	if err != nil {
		return err
	}
	r := runner{settings: o.settings, repetitions: o.repetitions, progress: os.Stderr, cases: matching(cases(), o.only)}
	if len(r.cases) == 0 {
		return hint.Usage(fmt.Errorf("-only %s matches no case", o.only), "")
	}
	if r.routers, r.paths, err = choose(routers(), o.routers, os.Getenv); err != nil {
		return err
	}
	if path, err := quicload.find(os.Getenv); err == nil {
		r.paths[quicload.command] = path
	} else {
		r.cases = slices.DeleteFunc(r.cases, func(c benchCase) bool { return c.quic })
	}
	if os.Geteuid() != 0 {
		return hint.Fail(errors.New("network namespaces need root"), "run it with sudo")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return hint.Fail(fmt.Errorf("find ip: %w", err), "install iproute2")
	}
	doc := report{date: time.Now(), command: commandLine(args), repetitions: o.repetitions}
	if doc.machine, err = machine(); err != nil {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	doc.results, doc.notes = r.results, r.notes
	for _, c := range r.cases {
		doc.figures = append(doc.figures, c.figures...)
	}
	for _, router := range r.routers {
		doc.routers = append(doc.routers, describe(router, r.paths))
	}
	if o.summary != "" {
		err = fill(o.summary, doc.summary())
	}
	return errors.Join(err, write(o.output, doc.String()))
}

// commandLine returns the command that repeats this run, for a shell.
func commandLine(args []string) string {
	words := []string{"go run ./cmd/internal/bench"}
	for _, arg := range args {
		if strings.ContainsAny(arg, " |*?()[]$;&") {
			arg = "'" + arg + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// matching returns the cases whose name has a match.
func matching(all []benchCase, only *regexp.Regexp) []benchCase {
	return slices.DeleteFunc(all, func(c benchCase) bool { return !only.MatchString(c.name) })
}

// write puts the report into a file, between its marks where the file is there. Where no file is
// named, or it cannot be written, the report goes to standard output.
func write(path, text string) error {
	var failed error
	if path != "" {
		failed = fill(path, text)
		if errors.Is(failed, fs.ErrNotExist) {
			failed = os.WriteFile(path, []byte(text), 0o644)
		}
		if failed == nil {
			return nil
		}
	}
	_, err := io.WriteString(os.Stdout, text)
	return errors.Join(failed, err)
}
