package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/query"
	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// logFlags are the user's question to logs, as typed.
type logFlags struct {
	config, since, until, top            string
	src, dst, ports, outcomes, processes []string
	format                               choice
	json, follow                         bool
}

func newLogCommand() *cobra.Command {
	f := logFlags{format: newChoice("modern", "classic", "json")}
	cmd := &cobra.Command{
		Use:   "log [flags] [FILE...]",
		Short: "Search JSON logs",
		Long: `Log prints the handshakes of JSON logs that match all flags given; of one flag given
several times, or with several values, one must match. FILE may be rotated and
compressed, and may come from elsewhere: any JSON record is read. A line that is none is
reported, with exit status 1; a record that stands in several files counts once, and the
files beside a log (NAME.head) are passed over. Without FILE it is the JSON log of the
config, with all files that syntap has rotated. Text is that of the record, in the
dialect of tcpdump 4.99 or 3.7.`,
		Example: `  syntap log -c /etc/syntap/config.yaml --since 1h --outcome refused
  syntap log --top dst --port 443 /var/log/syntap/handshakes*json*`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			if len(args) == 0 {
				f.config = usualConfig(cmd, f.config)
			}
			files, err := f.files(args)
			if err != nil {
				return err
			}
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
			last := len(files) - 1
			if !f.follow {
				last++
			}
			err = query.Run(q, files[:last], out)
			if flushErr := out.Flush(); err == nil {
				err = flushErr
			}
			if err != nil || !f.follow {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return query.Follow(ctx, q, files[last], cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	addUsualConfigFlag(cmd, &f.config)
	flags.StringVar(&f.since, "since", "",
		"not before this `TIME`: 2026-11-23T07:50:00Z, 2026-11-23 07:50:00, 2026-11-23, or 1h for an hour ago")
	flags.StringVar(&f.until, "until", "", "before this `TIME`")
	flags.StringSliceVar(&f.src, "src", nil, "from this client `ADDRESS` or prefix")
	flags.StringSliceVar(&f.dst, "dst", nil, "to this server `ADDRESS` or prefix")
	flags.StringSliceVar(&f.ports, "port", nil, "to this `PORT` of the server")
	flags.StringSliceVar(&f.outcomes, "outcome", nil, "with this `OUTCOME`: "+strings.Join(outcomeWords(), ", "))
	flags.StringSliceVar(&f.processes, "process", nil, "of the local process with this `NAME`")
	flags.Var(&f.format, "format", "print lines as tcpdump 4.99 or 3.7 does, or the records: "+f.format.names())
	flags.BoolVar(&f.json, "json", false, "the same as --format json")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written to the last file, over rotation")
	flags.StringVar(&f.top, "top", "", "print how often each value of `KEY` occurs: "+strings.Join(query.TopKeys(), ", "))
	return cmd
}

// files returns the files to search, in the order of their records.
func (f *logFlags) files(args []string) ([]string, error) {
	if len(args) > 0 {
		return record.InOrder(args)
	}
	c, err := config.Load(f.config)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(c.Tap.Log, func(s config.Sink) bool { return s.Format == config.JSON && s.Path != "-" })
	if i < 0 {
		return nil, hint.Usage(errors.New("no JSON log to search"), "name its FILE, or with -c the config that has one")
	}
	return logfile.Files(c.Tap.Log[i].Path)
}

// query reads the flags; times are relative to now.
func (f *logFlags) query(now time.Time) (q query.Query, err error) {
	q.Format, q.Top = query.Format(f.format.value), f.top
	if f.json {
		q.Format = query.JSON
	}
	q.Outcomes, q.Processes = f.outcomes, f.processes
	var errs hint.List
	check := func(flag string, err error, remedy string) {
		if err != nil {
			errs = append(errs, hint.Usage(fmt.Errorf("--%s: %w", flag, err), remedy))
		}
	}
	const times = "write it like 2026-11-23T07:50:00Z, 2026-11-23 07:50:00, 2026-11-23 or 1h30m"
	q.Since, err = parseTime(f.since, now)
	check("since", err, times)
	q.Until, err = parseTime(f.until, now)
	check("until", err, times)
	q.Src, err = parsePrefixes(f.src)
	check("src", err, "")
	q.Dst, err = parsePrefixes(f.dst)
	check("dst", err, "")
	for _, text := range f.ports {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			err = fmt.Errorf("%q is no port", text)
		}
		check("port", err, "")
		q.Ports = append(q.Ports, uint16(port))
	}
	for _, outcome := range f.outcomes {
		if !slices.Contains(outcomeWords(), outcome) {
			check("outcome", fmt.Errorf("%q is unknown", outcome), "one of "+strings.Join(outcomeWords(), ", "))
		}
	}
	if f.top != "" && !slices.Contains(query.TopKeys(), f.top) {
		check("top", fmt.Errorf("%q cannot be counted", f.top), "one of "+strings.Join(query.TopKeys(), ", "))
	}
	if f.top != "" && f.follow {
		check("top", errors.New("counts what is there, and --follow has no end"), "leave one of them out")
	}
	if errs != nil {
		return q, errs
	}
	return q, nil
}

func outcomeWords() (words []string) {
	for _, o := range handshake.Outcomes() {
		words = append(words, string(o))
	}
	return words
}

// parseTime reads a time, in local time where it has no zone, or how long ago it is; "" is the zero
// time.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	ago, err := time.ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is no time", s)
	}
	return now.Add(-ago.Abs()), nil
}

func parsePrefixes(texts []string) (all []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a prefix", text)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		all = append(all, p)
	}
	return all, nil
}
