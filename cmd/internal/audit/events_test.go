package audit

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// eventFormats are the forms of other programs.
var eventFormats = []config.Format{config.OCSF, config.Zeek, config.ECS}

// flowOf is the end of a connection that established has begun.
func flowOf(sport uint16, end flow.End) record.AttributedFlow {
	return record.AttributedFlow{Flow: flow.Flow{
		Key: established(sport, start).Key(), Started: start, Duration: time.Second, Outbound: 75, Inbound: 611, End: end,
	}}
}

// eventsIn decodes the lines of a log.
func eventsIn(t testing.TB, log string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var event map[string]any
		must(t, json.Unmarshal([]byte(line), &event))
		all = append(all, event)
	}
	return all
}

// A running log writes handshakes, datagrams, flows, gaps and its end in each form. Zeek has one
// line for each connection, also for one that is open at the end.
func TestEvents(t *testing.T) {
	t.Parallel()
	datagram := &flow.Datagram{
		Proto: flow.UDP, Client: netip.MustParseAddrPort("192.0.2.1:5000"), Server: netip.MustParseAddrPort("198.51.100.2:53"),
		Time: start, DNS: &flow.DNS{Queries: []flow.Question{{Name: "a.example", Type: 1}}},
	}
	for format, want := range map[config.Format][]any{
		config.OCSF: {"handshake", "handshake", "handshake", "datagram", "finding", "flow", "flow", "end"},
		config.ECS:  {"handshake", "handshake", "handshake", "datagram", "finding", "flow", "flow", "end"},
		config.Zeek: {"REJ", "RSTO", "SF", "S1"},
	} {
		var out bytes.Buffer
		run := record.NewRun("gate", "boot", start)
		l := NewLog([]*Sink{open(t, config.Sink{Format: format, Path: "-"}, Options{Stdout: &out, Run: run})}, LogOptions{})
		l.Account(&record.Frames{Read: 1, Accounted: 1})
		stop := running(t, l)
		l.Record(established(1, start))
		l.Record(established(2, start))
		l.Record(refused())
		l.Datagram(&record.AttributedDatagram{Datagram: datagram})
		l.Finding(&record.Finding{Header: record.Header{Time: start}, Kind: record.BlackHole, Confidence: record.High})
		l.Flow(flowOf(1, flow.ClientRST))
		l.Flow(record.AttributedFlow{Flow: flow.Flow{
			Started: start, Duration: time.Second, Datagram: datagram, Outcome: flow.Answered, OutboundPackets: 1, InboundPackets: 1,
		}})
		for _, w := range l.writers {
			w.overflow.add(start, 0)
		}
		must(t, stop())
		if found := l.Stats().Found[Found{Kind: record.BlackHole}]; found != 1 {
			t.Errorf("%d findings are counted, want one", found)
		}
		var got []any
		for _, event := range eventsIn(t, out.String()) {
			switch format {
			case config.OCSF:
				metadata := event["metadata"].(map[string]any)
				got = append(got, metadata["log_name"])
				if metadata["correlation_uid"] != run.ID || metadata["sequence"] != nil {
					t.Errorf("metadata is %v", metadata)
				}
			case config.ECS:
				got = append(got, event["event"].(map[string]any)["action"])
			default:
				got = append(got, event["conn_state"])
			}
		}
		gap := slices.Index(got, any("gap")) // it may stand anywhere
		if format != config.Zeek && gap < 0 {
			t.Errorf("%s has no gap: %s", format, &out)
		}
		got = slices.DeleteFunc(got, func(word any) bool { return word == "gap" })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", format, diff, &out)
		}
	}
}

// A log of events that is cut anywhere goes on with whole lines.
func TestResumeEventsCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, format := range eventFormats {
		path := logPath(t)
		c := config.Sink{Format: format, Path: path}
		s := open(t, c, Options{})
		must(t, s.Record(refused()))
		must(t, s.Record(refused()))
		must(t, s.Close())
		whole, err := os.ReadFile(path)
		must(t, err)
		first := bytes.IndexByte(whole, '\n') + 1
		for cut := range len(whole) + 1 {
			must(t, os.WriteFile(path, whole[:cut], 0o600))
			s := open(t, c, Options{})
			must(t, s.Record(refused()))
			must(t, s.Close())
			got, err := os.ReadFile(path)
			must(t, err)
			want := 1
			if cut >= first-1 { // without its end of line it is whole too
				want++
			}
			if cut >= len(whole)-1 {
				want++
			}
			if n := len(eventsIn(t, string(got))); n != want {
				t.Fatalf("%s cut at %d has %d lines, want %d: %s", format, cut, n, want, got)
			}
		}
	}
}

// A file that is no log of the form is left alone.
func TestResumeEventsRefused(t *testing.T) {
	t.Parallel()
	for _, format := range eventFormats {
		for _, in := range []string{"precious", "precious\n", `{"time":"2026","seq":1}` + "\n", `{"time":"2026`} {
			path := logPath(t)
			must(t, os.WriteFile(path, []byte(in), 0o600))
			if s, err := Open(config.Sink{Format: format, Path: path}, Options{}); err == nil {
				t.Errorf("%s: %q is taken for a log", format, in)
				must(t, s.Close())
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != in {
				t.Errorf("%s: %q became %q, %v", format, in, got, err)
			}
		}
	}
}

// A connection that is open while the sink of a Zeek log changes has one line, with its handshake.
func TestReloadZeek(t *testing.T) {
	t.Parallel()
	c := config.Sink{Format: config.Zeek, Path: filepath.Join(t.TempDir(), "conn.log")}
	o := Options{Run: record.NewRun("gate", "boot", start)}
	l := NewLog([]*Sink{open(t, c, o)}, LogOptions{Sinks: o})
	stop := running(t, l)
	l.Record(established(1, start))
	c.Sync = true
	must(t, l.Reload(t.Context(), []config.Sink{c}))
	l.Flow(flowOf(1, flow.ServerFIN))
	must(t, stop())
	log, err := os.ReadFile(c.Path)
	must(t, err)
	all := eventsIn(t, string(log))
	if len(all) != 1 || all[0]["history"] != "ShADdfF" || all[0]["conn_state"] != "SF" {
		t.Errorf("log is %s", log)
	}
}

// In a capture, where connections have no end, a Zeek log has each at its verdict.
func TestZeekOfCapture(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := open(t, config.Sink{Format: config.Zeek, Path: "-"}, Options{Stdout: &out})
	must(t, s.Record(established(1, start)))
	must(t, s.Flush())
	if all := eventsIn(t, out.String()); len(all) != 1 || all[0]["conn_state"] != "S1" {
		t.Errorf("log is %s", &out)
	}
	must(t, s.Close())
}
