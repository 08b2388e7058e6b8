package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
)

// outputFlags say how handshakes are printed. Run, exec and replay have them in common.
type outputFlags struct {
	format, order, timestamp choice
	relative                 bool
	file, pcapng             string
}

// addOutputFlags adds the output flags to cmd; stdout tells where lines go without -o.
func addOutputFlags(cmd *cobra.Command, stdout string) *outputFlags {
	o := &outputFlags{
		format:    newChoice("classic", "modern", "json", "ocsf", "zeek", "ecs"),
		order:     newChoice("handshake", "packet"),
		timestamp: newChoice("none", "time", "epoch", "delta", "date", "since"),
	}
	f := cmd.Flags()
	f.Var(&o.format, "format", "print as tcpdump 3.7 or 4.99 does, or JSON in one of several forms: "+o.format.names())
	f.Var(&o.order, "order", "print the lines of an attempt together, or each as its segment passes: "+o.order.names())
	f.Var(&o.timestamp, "timestamp", "begin each line with a time, as tcpdump's -t flags do: "+o.timestamp.names())
	f.BoolVar(&o.relative, "relative", false, "print relative sequence numbers, as tcpdump does without -S")
	f.StringVarP(&o.file, "output", "o", "", "append the lines to `FILE` instead of "+stdout)
	f.StringVarP(&o.pcapng, "write", "w", "", "also write the segments to `FILE` as pcapng")
	return o
}

// given reports whether the command line says anything about the lines.
func (o *outputFlags) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc([]string{"format", "order", "timestamp", "relative", "output"}, cmd.Flags().Changed)
}

// sinks returns the sinks that the flags describe; path is where lines go without -o.
func (o *outputFlags) sinks(path string) []config.Sink {
	if o.file != "" {
		path = o.file
	}
	s := config.Sink{Format: config.Format(o.format.value), Path: path, OnFull: config.Suspend}
	if s.Format.IsText() {
		s.Order, s.Relative = config.Order(o.order.value), o.relative
		_ = s.Timestamp.UnmarshalText([]byte(o.timestamp.value)) // one of its words
	}
	return append([]config.Sink{s}, o.capture()...)
}

// capture returns the sink of -w, if there is one.
func (o *outputFlags) capture() []config.Sink {
	if o.pcapng == "" {
		return nil
	}
	return []config.Sink{{Format: config.PCAPNG, Path: o.pcapng, OnFull: config.Suspend}}
}

// choice is a flag that takes one of a few words, the first by default.
type choice struct {
	value string
	words []string
	given bool
}

func newChoice(words ...string) choice { return choice{value: words[0], words: words} }

func (c *choice) names() string  { return strings.Join(c.words, ", ") }
func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "WORD" }

func (c *choice) Set(s string) error {
	if !slices.Contains(c.words, s) {
		return fmt.Errorf("must be one of %s", c.names())
	}
	c.value, c.given = s, true
	return nil
}
