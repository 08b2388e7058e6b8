package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/tap"
	"syntap/tap/capture"
	"syntap/tap/tcpdump"
)

func newReplayCommand() *cobra.Command {
	var all bool
	var output *outputFlags
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE",
		Short: "Print the handshakes of a pcap or pcapng file",
		Long: `Replay runs the tap over a capture and prints its handshakes; FILE "-" is standard input. It needs no privilege. There
is no timeout, no checksum is verified and nothing is dropped: attempts that are open at the end of the capture end with
it. The FILE of -w is begun anew.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one capture, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			configs := output.sinks("-")
			if all && configs[0].Format == config.JSON {
				return hint.Usage(errors.New("--all prints lines, which json has not"), "use --format classic or modern")
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
			sinks, err := openReplaySinks(configs, in, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			p := player{judged: sinks, live: in == os.Stdin}
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
			return cmp.Or(p.err, err)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print every TCP segment, one line each, without verdicts")
	output = addOutputFlags(cmd, "standard output")
	return cmd
}

// openReplaySinks opens where the results go. That must be neither the same place twice nor the capture itself.
func openReplaySinks(configs []config.Sink, in *os.File, stdout io.Writer) ([]*audit.Sink, error) {
	if len(configs) > 1 && configs[0].Path == configs[1].Path {
		return nil, hint.Usage(fmt.Errorf("lines and packets would both go to %s", configs[0].Path), "give -o and -w different files")
	}
	inInfo, err := in.Stat()
	if err != nil {
		return nil, err
	}
	var sinks []*audit.Sink
	for _, c := range configs {
		if info, err := os.Stat(c.Path); err == nil && os.SameFile(info, inInfo) {
			return nil, hint.Usage(fmt.Errorf("%s is the capture to read", c.Path), "write to another file")
		}
		s, err := audit.Open(c, audit.Options{Stdout: stdout, Truncate: c.Format == config.PCAPNG})
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, s)
	}
	return sinks, nil
}

// player passes the packets of a capture through the tap's tracker, and what it says on to sinks.
type player struct {
	judged  []*audit.Sink   // get records, and segments of openings
	lines   *audit.Sink     // gets every TCP segment; may be nil
	dialect tcpdump.Dialect // of lines
	live    bool            // the capture may still be going on: what there is to say comes at once
	err     error           // the first of a sink
}

// play returns the error of the capture, after everything before it has been said. It stops at the first error of a sink.
func (p *player) play(r *capture.Reader) error {
	tracker := tap.NewTracker(tap.Options{OnRecord: p.record, OnSegment: p.segment})
	defer tracker.Flush()
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
			p.note(p.lines.Segment(&tap.Segment{Time: packet.Time, Packet: n}))
		}
		tracker.Observe(packet.Time, &n)
		if p.live {
			p.flush()
		}
	}
	return nil
}

func (p *player) record(r *tap.Record) {
	for _, s := range p.judged {
		p.note(s.Record(r))
	}
}

func (p *player) segment(_ tap.Key, seg tap.Segment) {
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
}

// note keeps the first error.
func (p *player) note(err error) {
	if p.err == nil {
		p.err = err
	}
}
