package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/tap"
	"syntap/tap/policy"
	"syntap/tap/tcpdump"
	"syntap/tun/packet"
)

// replayOptions are the flags of replay besides those of rules and output.
type replayOptions struct {
	all, decap bool
	config     string
	pathMTU    int
	maxOpen    int
	rules      *ruleFlags
	output     *outputFlags
}

func newReplayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE...",
		Short: "Print the handshakes of pcap and pcapng files",
		Long: `Replay runs the tap over a capture and prints its handshakes; FILE "-" is standard
input. Files compressed with gzip or zstd need no unpacking. Several files are read as
one capture in the order of time. It needs no privilege. There is no timeout, no checksum
is verified and nothing is dropped: attempts that are open at the end of the capture
end with it. A verdict by a RST or an ICMP error is final when both ends have been silent
for 10 seconds, because others may follow. An existing FILE of -w is overwritten.

Each attempt without a verdict takes some 2 KiB of memory. If more than --max-open are
open at once, the oldest end early, and the exit status is 1. Packets in tunnels are
counted; with --decap they are analysed, and printed without the tunnel.

With -c, --mss or --df the rules of a config are applied to the capture. Then -w writes
every packet as the tap would have passed it on, and lists the changes in the packet's
comment. The client of a conversation is the sender of its SYN, or else of its first packet.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("want one capture or more, got none")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "print every TCP segment, one line each, without verdicts")
	f.BoolVar(&o.decap, "decap", false, "look into GRE, IPIP, 6in4, VXLAN and Geneve")
	f.IntVar(&o.maxOpen, "max-open", 131072, "end the oldest of more than `N` attempts without a verdict; 0 = no limit")
	addConfigFlag(cmd, &o.config)
	o.rules = addRuleFlags(cmd)
	f.IntVar(&o.pathMTU, "path-mtu", 0, "the path MTU in `BYTES` that rules are to know, which a capture does not tell")
	o.output = addOutputFlags(cmd, "standard output")
	return cmd
}

// check refuses flags that contradict each other.
func (o *replayOptions) check(cmd *cobra.Command, rules *policy.Rules, args []string) error {
	if f := config.Format(o.output.format.value); o.all && !f.IsText() {
		return hint.Usage(fmt.Errorf("--all prints lines, which %s has not", f), "use --format classic or modern")
	}
	if o.decap && rules != nil {
		return hint.Usage(errors.New("rules change no packet in a tunnel"), "leave --decap or the rules out")
	}
	if o.maxOpen < 0 {
		return hint.Usage(fmt.Errorf("--max-open: %d is negative", o.maxOpen), "0 means no limit")
	}
	for i, name := range args {
		if name == "-" && slices.Contains(args[:i], name) {
			return hint.Usage(errors.New("standard input is named twice"), "")
		}
	}
	return checkPathMTU(cmd, o.pathMTU, rules)
}

func (o *replayOptions) run(cmd *cobra.Command, args []string) error {
	rules, err := replayRules(cmd, o.config, o.rules)
	if err != nil {
		return err
	}
	if err := o.check(cmd, rules, args); err != nil {
		return err
	}
	in, err := openCaptures(args)
	defer in.close()
	if err != nil {
		return err
	}
	configs := o.output.sinks("-")
	if o.all {
		configs[0].Order = config.ByPacket
	}
	if err := checkReplayFiles(configs, in); err != nil {
		return err
	}
	passing := rules != nil && o.output.pcapng != ""
	if passing { // -w holds other packets then
		configs = configs[:1]
	}
	sinks, err := openReplaySinks(configs, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	p := player{judged: sinks, live: in.live(), decap: o.decap}
	if passing {
		if p.passed, err = createPassed(o.output.pcapng, cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	p.replay = tap.NewReplay(tap.Options{
		OnRecord: p.record, OnSegment: p.segment, Rules: rules, MaxOpen: o.maxOpenOrNone(),
		PathMTU: func(_, _ netip.AddrPort) packet.MTU { return packet.MTU(o.pathMTU) },
	})
	if o.all {
		p.lines, p.judged = sinks[0], sinks[1:]
		if configs[0].Format == config.Modern {
			p.dialect = tcpdump.Modern
		}
	}
	p.play(in)
	for _, s := range sinks {
		p.note(s.Close())
	}
	if p.passed != nil {
		p.note(p.passed.close())
	}
	skipped := p.skipped.print(cmd.ErrOrStderr(), in, o.decap)
	if p.packets > 0 && p.records == 0 && !skipped && p.lines == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "syntap: no handshake in %s; --all prints each TCP segment\n", packetCount(p.packets))
	}
	if n := p.replay.Stats().Hurried; n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(),
			"syntap: %d verdicts fell before both ends were silent for 10 seconds; --max-open 0 waits\n", n)
	}
	return p.failed(in)
}

// maxOpenOrNone returns the limit as package tap has it.
func (o *replayOptions) maxOpenOrNone() int {
	if o.maxOpen == 0 {
		return -1
	}
	return o.maxOpen
}

// replayRules returns the rules that the command line asks for; nil if it says nothing of rules.
func replayRules(cmd *cobra.Command, file string, flags *ruleFlags) (*policy.Rules, error) {
	if !slices.ContainsFunc([]string{"config", "mss", "df"}, cmd.Flags().Changed) {
		return nil, nil
	}
	c, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	if err := flags.apply(cmd, c); err != nil {
		return nil, err
	}
	return c.CompileRules(nil)
}

// checkPathMTU refuses a path MTU that cannot be, or that no rule asks for.
func checkPathMTU(cmd *cobra.Command, mtu int, rules *policy.Rules) error {
	const least = 68 // RFC 791 §3.1
	switch {
	case !cmd.Flags().Changed("path-mtu"):
	case rules == nil:
		return hint.Usage(errors.New("--path-mtu is for rules"), "add --mss pmtu, or -c FILE")
	case mtu < least || mtu > 65535:
		return hint.Usage(fmt.Errorf("--path-mtu: %d is not between %d and 65535", mtu, least), "")
	}
	return nil
}

// checkReplayFiles sees to it that the results go neither to the same place twice nor to a capture
// itself.
func checkReplayFiles(configs []config.Sink, in captures) error {
	if len(configs) > 1 && configs[0].Path == configs[1].Path {
		return hint.Usage(fmt.Errorf("lines and packets would both go to %s", configs[0].Path), "give -o and -w different files")
	}
	for _, c := range configs {
		info, err := os.Stat(c.Path)
		if err != nil {
			continue
		}
		for _, i := range in {
			if os.SameFile(info, i.info) {
				return hint.Usage(fmt.Errorf("%s is the capture to read", c.Path), "write to another file")
			}
		}
	}
	return nil
}

// openReplaySinks opens where the results go.
func openReplaySinks(configs []config.Sink, stdout io.Writer) ([]*audit.Sink, error) {
	var sinks []*audit.Sink
	for _, c := range configs {
		s, err := audit.Open(c, audit.Options{
			Stdout: stdout, Truncate: c.Format == config.PCAPNG, Capture: true,
		})
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, s)
	}
	return sinks, nil
}
