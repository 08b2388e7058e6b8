package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/fleet/search"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/query"
	"syntap/cmd/internal/record"
)

const logHelp = `Print the connections of JSON logs, one per line: start, outcome, process and user, client and
server, connect time, bytes, duration and end. A connection without an end is open. The formats
csv and zeek also have one line per connection. The others print records: as JSON (json, ocsf,
ecs), or each handshake in the lines of tcpdump 4.99 (modern) or 3.7 (classic).

A connection must match all flags, and one of several values of a flag. --filter takes conditions
in one line, such as 'dst:10.0.0.0/8 !refused port:5432,8000-8999 name:*.example.com bytes:>1MB';
a word is an outcome, a protocol, an address, or any text.

FILE may be rotated or compressed (gzip, zstd), and may come from elsewhere: any JSON record is
read; "-" is standard input. A line that is not a record is reported, with exit status 1. A record
that is in several files counts once, and the files beside a log (NAME.head) are skipped. The
default FILE is the JSON log of the config, with all its rotated files.

With --fleet, search the logs of all routers, in the first store of the config that answers, or in
that of --store. The records of one router come in their order, those of several by time. Each
line has the router after the time, unless --router selects one.
With --top and one of dst, src, port and process, the store itself counts, if the filter has only
these, the protocol and times; then connections count whose beginning is in the store.`

const logExample = `  syntap log --since yesterday --outcome refused,denied
  syntap log --name '*.example.com' --min-bytes 1MB -n 20
  syntap log --top process,dst --by bytes --since 'today 14:00'
  syntap log --new-since 2d
  syntap log --policy policy.yaml --since 7d
  syntap log --fleet --since 1h --src 10.1.2.3 --outcome refused
  syntap log --format csv /var/log/syntap/handshakes*json* > connections.csv`

// logFlags are the user's question to logs, as typed.
type logFlags struct {
	config, newSince  string
	policy            string
	filters, not, top []string
	values            map[string]*[]string // of the filter's keys, by flag
	format, by        choice
	last              int
	json, follow      bool
	fleet             fleetFlags
}

// filterFlags are flags that stand for a key of the filter.
var filterFlags = []struct{ flag, key, prefix, usage string }{
	{"since", "since", "", "that began at this `TIME` or later: 2026-11-23 07:50, 14:00, yesterday, " +
		"'today 14:00', or 2h or 2d ago"},
	{"until", "until", "", "that began before this `TIME`"},
	{"name", "name", "", "to a server of this `NAME`; *.example.com is any name below example.com"},
	{"src", "src", "", "from this client `ADDRESS` or prefix"},
	{"dst", "dst", "", "to this server `ADDRESS` or prefix"},
	{"port", "port", "", "to this `PORT` of the server, or range such as 8000-8999"},
	{"sport", "sport", "", "from this `PORT` of the client, or range"},
	{"proto", "proto", "", "of this `PROTOCOL`"},
	{"outcome", "outcome", "", "with this `OUTCOME`"},
	{"process", "process", "", "of the local process with this `NAME`, in which * stands for any text"},
	{"user", "user", "", "of the local user with this `NAME`, or number if it has none"},
	{"uid", "uid", "", "of the local user with this `UID`, or range"},
	{"min-duration", "duration", ">=", "that lasted this `DURATION` or longer"},
	{"min-bytes", "bytes", ">=", "with at least this `SIZE` of payload in both directions, such as 1MB"},
}

func newLogFlags() *logFlags {
	return &logFlags{
		values: make(map[string]*[]string),
		format: newChoice(query.Formats()...), by: newChoice("count", "bytes"),
	}
}

func newLogCommand() *cobra.Command { return newLogFlags().command() }

func (f *logFlags) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "log [flags] [FILE...]",
		Short:   "Search JSON logs",
		Long:    logHelp + "\n\n" + filterHelp(),
		Example: logExample,
		Args:    cobra.ArbitraryArgs,
		RunE:    f.run,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, flag := range filterFlags {
		values := new([]string)
		f.values[flag.flag] = values
		usage := flag.usage
		if words := filter.Words(flag.key); words != nil {
			usage += ": " + strings.Join(words, ", ")
		}
		flags.StringSliceVar(values, flag.flag, nil, usage)
	}
	flags.StringArrayVarP(&f.filters, "filter", "F", nil, "that match this `FILTER`")
	flags.StringArrayVar(&f.not, "not", nil, "that do not match this `FILTER`")
	flags.StringVar(&f.newSince, "new-since", "",
		"the first ones since this `TIME` to a destination (name or address), port, protocol and process not "+
			"seen before it")
	flags.StringVar(&f.policy, "policy", "", "that the rules in `FILE`, the section egress of a config, would refuse; its "+
		"deny and allow are left out")
	flags.StringSliceVar(&f.top, "top", nil, "print how many there are for each value of `KEY`, or of several: "+
		strings.Join(filter.GroupKeys(), ", "))
	flags.Var(&f.by, "by", "have --top sum up this `UNIT`: "+f.by.names())
	flags.Var(&f.format, "format", "print in this `FORMAT`: "+f.format.names())
	flags.BoolVar(&f.json, "json", false, "the same as --format json: the records themselves")
	flags.IntVarP(&f.last, "lines", "n", 0, "print the last `N` lines only; with --top, the first")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written to the last file, over rotation")
	addUsualConfigFlag(cmd, &f.config)
	f.fleet.add(cmd, "search")
	return cmd
}

// filterHelp tells the keys of a filter and their values.
func filterHelp() string {
	text := "The keys of a FILTER are " + strings.Join(filter.Keys(), ", ") + ". Values are such as " +
		"*.example.com, 10.0.0.0/8, 8000-8999, >1MB, 1KB-1MB, >=1s or \"today 14:00\"; of several, " +
		"separated by commas, one must match. \"!\" before a term takes what does not match."
	const most = 96
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > most {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}

func (f *logFlags) run(cmd *cobra.Command, args []string) error {
	q, err := f.query(time.Now())
	if err != nil {
		return err
	}
	q.Notice = notices(cmd)
	if err := f.fleet.alone(); err != nil {
		return err
	}
	if f.fleet.on {
		return f.runFleet(cmd, q, args)
	}
	if len(args) == 0 {
		f.config = usualConfig(cmd, f.config)
	}
	files, err := f.files(args)
	if err != nil {
		return err
	}
	if !f.follow {
		out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
		err = query.Run(q, files, out)
		if flushErr := out.Flush(); err == nil {
			err = flushErr
		}
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return follow(ctx, q, files, cmd.OutOrStdout())
}

// runFleet searches the logs of a fleet.
func (f *logFlags) runFleet(cmd *cobra.Command, q query.Query, args []string) error {
	if len(args) > 0 {
		return hint.Usage(errors.New("--fleet searches stores, not files"), "leave one of them out")
	}
	stores, err := f.fleet.open(cmd, f.config)
	if err != nil {
		return err
	}
	defer stores.Close()
	q.Routers = f.fleet.router == ""
	reader := search.New(stores, f.fleet.router, q.Notice)
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if f.follow {
		return query.FollowSource(ctx, q, reader, cmd.OutOrStdout())
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	err = query.Search(ctx, q, reader, out)
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

func follow(ctx context.Context, q query.Query, files []string, w io.Writer) error {
	if files[len(files)-1] == logfile.Stdin {
		return hint.Usage(errors.New("standard input cannot be followed"), "leave out --follow: it is read to its end")
	}
	return query.Follow(ctx, q, files, w)
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
