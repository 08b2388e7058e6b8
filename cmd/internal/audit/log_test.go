package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/capture"
	"syntap/tun/flow"
)

// ended is a context that is over: Run writes the queue and returns.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// ports returns the client port of each record in a JSON log, 0 for a gap, and checks the numbers.
func ports(t *testing.T, log string) []int {
	t.Helper()
	var got []int
	for text := range strings.Lines(log) {
		var line struct {
			Seq, Sport int
			Msg        string
		}
		must(t, json.Unmarshal([]byte(text), &line))
		if line.Seq != len(got)+1 {
			t.Errorf("seq = %d in line %d", line.Seq, len(got)+1)
		}
		if line.Msg != "end" {
			got = append(got, line.Sport)
		}
	}
	return got
}

func TestLogQueueFull(t *testing.T) {
	t.Parallel()
	var jsonOut, textOut bytes.Buffer
	l := NewLog([]*Sink{
		open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: &jsonOut}),
		open(t, config.Sink{Format: config.Classic, Path: "-"}, Options{Stdout: &textOut}),
	}, LogOptions{Queue: 3})
	for port := range uint16(5) {
		l.Record(established(port+1, start.Add(time.Duration(port)*time.Second))) // does not block without a writer
	}
	must(t, l.Run(ended()))
	if diff := cmp.Diff([]int{1, 2, 3, 0}, ports(t, jsonOut.String())); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	const gap = `"level":"warning","msg":"gap","seq":4,"from":"2026-11-23T07:50:03.123456Z","to":"2026-11-23T07:50:04.123456Z","lost":2,"reason":"queue_full"}` + "\n"
	if !strings.Contains(jsonOut.String(), gap) {
		t.Errorf("log does not tell of the gap: %s", &jsonOut)
	}
	if got := strings.Count(textOut.String(), "\n"); got != 3*3 {
		t.Errorf("%d lines of text, want 9", got)
	}
	want := LogStats{Records: 5, Lost: map[record.GapReason]uint64{record.QueueFull: 4, record.WriteError: 0}}
	if diff := cmp.Diff(want, l.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// A gap is announced where it is: behind the records that were queued before it, before those that
// came later.
func TestLogGapInPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: &out})}, LogOptions{Queue: 3})
		for port := range uint16(5) {
			l.Record(established(port+1, start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		synctest.Wait() // the queue is empty
		l.Record(established(6, start))
		synctest.Wait()
		if diff := cmp.Diff([]int{1, 2, 3, 0, 6}, ports(t, out.String())); diff != "" {
			t.Errorf("records before the end (-want +got):\n%s", diff)
		}
		cancel()
		must(t, <-done)
	})
}

// All sinks get the same records, each once, while several goroutines hand them in.
func TestLogSinksAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	paths := map[config.Format]string{}
	var sinks []*Sink
	for _, format := range []config.Format{config.JSON, config.Modern, config.PCAPNG} {
		paths[format] = dir + "/" + string(format)
		sinks = append(sinks, open(t, config.Sink{Format: format, Path: paths[format]}, Options{}))
	}
	l := NewLog(sinks, LogOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	const producers, each = 4, 500
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for i := range each {
				r := established(uint16(p*each+i+1), start)
				l.Segment(flow.Key{}, r.Segments[0]) // no sink is in packet order
				l.Record(r)
			}
		})
	}
	wg.Wait()
	cancel()
	must(t, <-done)

	want := make([]int, producers*each)
	for i := range want {
		want[i] = i + 1
	}
	read := func(format config.Format) string {
		b, err := os.ReadFile(paths[format])
		must(t, err)
		return string(b)
	}
	inJSON := slices.Sorted(slices.Values(ports(t, read(config.JSON))))
	if diff := cmp.Diff(want, inJSON); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if got := strings.Count(read(config.Modern), "Flags [S],"); got != len(want) {
		t.Errorf("%d SYN lines, want %d", got, len(want))
	}
	r, err := capture.NewReader(strings.NewReader(read(config.PCAPNG)))
	must(t, err)
	packets := 0
	for _, err = r.Next(); err == nil; _, err = r.Next() {
		packets++
	}
	if err != io.EOF || packets != 3*len(want) {
		t.Errorf("%d packets, %v, want %d", packets, err, 3*len(want))
	}
}

func TestLogPacketOrder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewLog([]*Sink{open(t, config.Sink{Format: config.Classic, Path: "-", Order: config.ByPacket}, Options{Stdout: &out})}, LogOptions{Queue: 2})
	r := established(1, start)
	for _, s := range r.Segments { // the third does not fit
		l.Segment(flow.Key{}, s)
	}
	must(t, l.Run(ended()))
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want 2:\n%s", got, &out)
	}
	if got := l.Stats(); got.Lost[record.QueueFull] != 1 {
		t.Errorf("stats = %+v, want one lost to the full queue", got)
	}
}

// Segments that no sink wants cost nothing.
func TestLogSegmentAllocs(t *testing.T) {
	l := NewLog(nil, LogOptions{})
	seg := established(1, start).Segments[0]
	if got := testing.AllocsPerRun(100, func() { l.Segment(flow.Key{}, seg) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestLogReportsErrorsOnce(t *testing.T) {
	t.Parallel()
	for _, format := range []config.Format{config.JSON, config.Classic} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			testReportsErrorsOnce(t, format)
		})
	}
}

func testReportsErrorsOnce(t *testing.T, format config.Format) {
	synctest.Test(t, func(t *testing.T) {
		logger, hook := logrustest.NewNullLogger()
		disk := &full{w: io.Discard}
		s := open(t, config.Sink{Format: format, Path: "-", OnFull: config.Count}, Options{Stdout: disk})
		l := NewLog([]*Sink{s}, LogOptions{Logger: logger})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		reports := func(records int) map[string]int {
			hook.Reset()
			for range records {
				l.Record(established(1, start))
				synctest.Wait()
			}
			got := map[string]int{}
			for _, e := range hook.AllEntries() {
				got[e.Message]++
			}
			return got
		}
		const fails, works = "handshake log cannot be written", "handshake log is written again"
		for _, step := range []struct {
			name string
			room int
			wait time.Duration
			want map[string]int
		}{
			{"fails", 0, 0, map[string]int{fails: 1}},
			{"still fails", 0, time.Hour, map[string]int{}},
			{"works again", 1 << 30, 0, map[string]int{works: 1}},
			{"fails again", 0, 0, map[string]int{fails: 1}},
			{"works again", 1 << 30, 0, map[string]int{works: 1}},
			{"fails too soon for another report", 0, 0, map[string]int{}},
			{"works, which was not in doubt", 1 << 30, 0, map[string]int{}},
		} {
			<-time.After(step.wait) // in the time of synctest
			disk.room = step.room
			if got := reports(5); !maps.Equal(got, step.want) {
				t.Errorf("%s: reports %v, want %v", step.name, got, step.want)
			}
		}
		cancel()
		must(t, <-done)
		if got := l.Stats().Lost[record.WriteError]; got != 20 {
			t.Errorf("%d records lost, want 20", got)
		}
	})
}

func TestLogReturnsLastError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logger, hook := logrustest.NewNullLogger()
		l := NewLog([]*Sink{
			open(t, config.Sink{Format: config.Classic, Path: "-"}, Options{Stdout: &full{w: io.Discard}}),
			open(t, config.Sink{Format: config.Classic, Path: "-"}, Options{Stdout: io.Discard}),
		}, LogOptions{Logger: logger})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		l.Record(established(1, start))
		synctest.Wait() // it has been written, or not, and reported
		cancel()
		if err := <-done; err == nil || err.Error() != "write log -: no space left on device" {
			t.Errorf("error = %v", err)
		}
		if got := len(hook.AllEntries()); got != 1 {
			t.Errorf("%d reports, want 1", got)
		}
	})
}
