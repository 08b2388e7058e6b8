package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/app"
	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record"
	"syntap/tap"
	"syntap/tap/capture"
	"syntap/tap/handshake"
	"syntap/tap/policy"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

func newReplayCommand() *cobra.Command {
	var all bool
	var file string
	var pathMTU int
	var flags *ruleFlags
	var output *outputFlags
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE",
		Short: "Print the handshakes of a pcap or pcapng file",
		Long: `Replay runs the tap over a capture and prints its handshakes; FILE "-" is standard
input. It needs no privilege. There is no timeout, no checksum is verified and nothing
is dropped: attempts that are open at the end of the capture end with it. The FILE of -w
is begun anew.

With -c, --mss or --df the rules of a config are applied to the capture. Then -w writes
every packet as the tap would have passed it on, and names each change in the packet's
comment. The client of a conversation is who sent its SYN, or else its first packet.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one capture, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			configs := output.sinks("-")
			if f := configs[0].Format; all && !f.IsText() {
				return hint.Usage(fmt.Errorf("--all prints lines, which %s has not", f), "use --format classic or modern")
			}
			rules, err := replayRules(cmd, file, flags)
			if err != nil {
				return err
			}
			if err := checkPathMTU(cmd, pathMTU, rules); err != nil {
				return err
			}
			in, name := os.Stdin, "standard input"
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in, name = f, args[0]
			}
			r, err := capture.NewReader(in)
			if err != nil {
				return hint.Fail(fmt.Errorf("%s: %w", name, err), `"tcpdump -w FILE" makes a capture`)
			}
			if all {
				configs[0].Order = config.ByPacket
			}
			if err := checkReplayFiles(configs, in); err != nil {
				return err
			}
			passing := rules != nil && output.pcapng != ""
			if passing { // -w holds other packets then
				configs = configs[:1]
			}
			sinks, err := openReplaySinks(configs, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			p := player{judged: sinks, live: in == os.Stdin}
			if passing {
				if p.passed, err = createPassed(output.pcapng, cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			p.replay = tap.NewReplay(tap.Options{
				OnRecord: p.record, OnSegment: p.segment,
				Rules: rules, PathMTU: func(_, _ netip.AddrPort) packet.MTU { return packet.MTU(pathMTU) },
			})
			if all {
				p.lines, p.judged = sinks[0], sinks[1:]
				if configs[0].Format == config.Modern {
					p.dialect = tcpdump.Modern
				}
			}
			if err = p.play(r); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			for _, s := range sinks {
				p.note(s.Close())
			}
			if p.passed != nil {
				p.note(p.passed.close())
			}
			return cmp.Or(p.err, err)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print every TCP segment, one line each, without verdicts")
	addConfigFlag(cmd, &file)
	flags = addRuleFlags(cmd)
	cmd.Flags().IntVar(&pathMTU, "path-mtu", 0, "the path MTU in `BYTES` that rules are to know, which a capture does not tell")
	output = addOutputFlags(cmd, "standard output")
	return cmd
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
	return app.Rules(c)
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

// checkReplayFiles sees to it that the results go neither to the same place twice nor to the
// capture itself.
func checkReplayFiles(configs []config.Sink, in *os.File) error {
	if len(configs) > 1 && configs[0].Path == configs[1].Path {
		return hint.Usage(fmt.Errorf("lines and packets would both go to %s", configs[0].Path), "give -o and -w different files")
	}
	inInfo, err := in.Stat()
	if err != nil {
		return err
	}
	for _, c := range configs {
		if info, err := os.Stat(c.Path); err == nil && os.SameFile(info, inInfo) {
			return hint.Usage(fmt.Errorf("%s is the capture to read", c.Path), "write to another file")
		}
	}
	return nil
}

// openReplaySinks opens where the results go.
func openReplaySinks(configs []config.Sink, stdout io.Writer) ([]*audit.Sink, error) {
	var sinks []*audit.Sink
	for _, c := range configs {
		s, err := audit.Open(c, audit.Options{Stdout: stdout, Truncate: c.Format == config.PCAPNG})
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, s)
	}
	return sinks, nil
}

// player passes the packets of a capture through the tap, and its lines on to sinks.
type player struct {
	replay  *tap.Replay
	passed  *passedFile     // gets every packet as the tap passes it on; may be nil
	judged  []*audit.Sink   // get records, and segments of openings
	lines   *audit.Sink     // gets every TCP segment; may be nil
	dialect tcpdump.Dialect // of lines
	live    bool            // the capture may still be going on: lines are printed at once
	err     error           // the first of a sink
}

// play returns the error of the capture, after everything before it has been said. It stops at the
// first error of a sink.
func (p *player) play(r *capture.Reader) error {
	defer p.replay.Flush()
	for p.err == nil {
		packet, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		n := packet.Notation()
		if p.lines != nil && tcpdump.IsTCP(p.dialect, &n) {
			p.note(p.lines.Segment(&handshake.Segment{Time: packet.Time, Packet: n}))
		}
		passed := p.replay.Pass(packet.Time, &n)
		if p.passed != nil {
			p.note(p.passed.write(packet, passed))
		}
		if p.live {
			p.flush()
		}
	}
	return nil
}

func (p *player) record(r *handshake.Record) {
	for _, s := range p.judged {
		p.note(s.Record(&record.Attributed{Record: r}))
	}
}

func (p *player) segment(_ flow.Key, seg handshake.Segment) {
	for _, s := range p.judged {
		p.note(s.Segment(&seg))
	}
}

func (p *player) flush() {
	for _, s := range p.judged {
		p.note(s.Flush())
	}
	if p.lines != nil {
		p.note(p.lines.Flush())
	}
	if p.passed != nil {
		p.note(p.passed.flush())
	}
}

// note keeps the first error.
func (p *player) note(err error) {
	if p.err == nil {
		p.err = err
	}
}
