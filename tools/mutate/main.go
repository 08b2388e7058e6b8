// Command mutate breaks the product in small ways, one at a time and in a copy of the tree, and
// says which of them the tests do not notice. Run it at the top of the tree; make mutate does.
//
// The mutations are hand-made (mutations.go): each takes one behaviour away that users rely on.
// A mutation is found by its text, so that it follows code that moves. A text that is gone, or
// stands twice, is an error, and so is a mutation that does not compile: the list is to be true.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	only := flag.String("only", "", "apply the mutations whose behaviour or folder this `regexp` matches")
	check := flag.Bool("check", false, "only look whether all texts are found and all mutations compile")
	flag.Parse()
	ok, err := run(ctx, os.Stdout, ".", mutations(), *only, *check)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run applies mutations to a copy of the tree at dir. It reports whether the list is true: every
// text found, every mutation noticed by the tests but those that survive for a reason.
func run(ctx context.Context, out io.Writer, dir string, all []mutation, only string, check bool) (ok bool, err error) {
	chosen, err := choose(all, only)
	if err != nil {
		return false, err
	}
	c, err := copyTree(ctx, dir)
	if err != nil {
		return false, err
	}
	defer c.remove()
	ok = true
	places := make([]place, len(chosen))
	for i, m := range chosen {
		if places[i], err = c.find(m); err != nil {
			ok = false
			fmt.Fprintln(out, "LOST     ", err)
		} else if output, err := c.compiles(ctx, m, places[i]); err != nil {
			ok = false
			fmt.Fprintf(out, "BROKEN    %s: %s does not compile: %v\n%s", places[i].file, m.behaviour, err, output)
		}
	}
	if check || !ok {
		return ok, nil
	}
	if err := c.passes(ctx, chosen); err != nil {
		return false, err
	}
	count := make(map[verdict]int)
	for i, m := range chosen {
		start := time.Now()
		v, detail, err := c.try(ctx, m, places[i])
		if err != nil {
			return false, err
		}
		switch {
		case m.survives == "":
		case v == survived:
			v, detail = excused, m.survives
		default:
			v, detail = noticed, "it is on the list of survivors: "+detail
		}
		count[v]++
		fmt.Fprintf(out, "%-9s %5.1fs  %s: %s (%s)\n", v, time.Since(start).Seconds(), places[i].file, m.behaviour, detail)
	}
	fmt.Fprintf(out, "%d killed, %d survive for a reason, %d survived\n", count[killed], count[excused], count[survived])
	return count[survived]+count[noticed] == 0, nil
}

// choose returns the mutations whose behaviour or folder a regular expression matches.
func choose(all []mutation, only string) (chosen []mutation, err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if pattern.MatchString(m.behaviour) || pattern.MatchString(m.folder) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no mutation matches %q", only)
	}
	return chosen, nil
}
