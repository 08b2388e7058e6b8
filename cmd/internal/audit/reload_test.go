package audit

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tun/tuntest"
)

// TestLogReload changes the sinks between records: the numbers of a file go on, and nothing is lost
// or written twice.
func TestLogReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := config.Sink{Format: config.JSON, Path: filepath.Join(dir, "kept")}
	changed := config.Sink{Format: config.JSON, Path: filepath.Join(dir, "changed")}
	var stdout bytes.Buffer
	o := Options{Stdout: &stdout}
	text := config.Sink{Format: config.Classic, Path: "-"}
	l := NewLog([]*Sink{open(t, kept, o), open(t, changed, o), open(t, text, o)}, LogOptions{Sinks: o})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()

	reload := func(sinks ...config.Sink) error { return l.Reload(t.Context(), sinks) }
	l.Record(established(1, start))
	changed.OnFull = config.Count
	must(t, reload(changed, kept))
	l.Record(established(2, start))
	if err := reload(kept, config.Sink{Format: config.JSON, Path: filepath.Join(dir, "missing", "log")}); err == nil {
		t.Error("reload with a sink that cannot be opened: no error")
	}
	l.Record(established(3, start))
	must(t, reload(kept))
	l.Record(established(4, start))
	stop()
	must(t, <-ended)

	for path, want := range map[string][]int{kept.Path: {1, 2, 3, 4}, changed.Path: {1, 2, 3}} {
		log, err := os.ReadFile(path)
		must(t, err)
		if diff := cmp.Diff(want, ports(t, string(log))); diff != "" {
			t.Errorf("records in %s (-want +got):\n%s", path, diff)
		}
	}
	if n := bytes.Count(stdout.Bytes(), []byte("\n")); n != 3 {
		t.Errorf("text of one attempt, want 3 lines:\n%s", &stdout)
	}
	if got := l.Stats().Records; got != 4 {
		t.Errorf("%d records passed on, want 4", got)
	}
}

// TestLogReloadAfterLoss loses a record to a sink that fails. Its successor at the same place
// announces the gap.
func TestLogReloadAfterLoss(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := config.Sink{Format: config.JSON, Path: "-", OnFull: config.Count}
	failing := open(t, c, Options{Stdout: errWriter{}})
	l := NewLog([]*Sink{failing}, LogOptions{Sinks: Options{Stdout: &out}})
	stop := running(t, l)
	l.Record(established(1, start))
	tuntest.Wait(t, "the loss", func() bool { return l.Stats().Lost[record.WriteError] == 1 })
	c.Sync = true
	must(t, l.Reload(t.Context(), []config.Sink{c}))
	l.Record(established(2, start))
	must(t, stop())
	if diff := cmp.Diff([]int{0, 2}, ports(t, out.String())); diff != "" {
		t.Errorf("records after the gap (-want +got):\n%s", diff)
	}
	if got := l.Stats().Lost[record.WriteError]; got != 1 {
		t.Errorf("%d records lost to write errors, want 1", got)
	}
}

// TestLogReloadOfGate has on_full change while records wait in the queue of a slow sink. Their
// connections and datagrams wait for the sinks for which they waited before, and pass once. Whether
// the old writer or the new one takes them from the queue is chance.
func TestLogReloadOfGate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		before, after   config.OnFull
		besides         bool     // another sink has none of the records yet
		reloaded, ended []uint16 // ports of those that pass with the reload, and with the other sink
	}{
		{"one that may lose records", config.Suspend, config.Count, false, []uint16{1, 2, 3}, nil},
		{"the same, beside another", config.Suspend, config.Count, true, nil, []uint16{1, 2, 3}},
		{"one that may not", config.Count, config.Suspend, true, nil, []uint16{1, 2, 3}},
	} {
		for range 16 {
			synctest.Test(t, func(t *testing.T) {
				slow, other := &stopped{reads: make(chan struct{})}, &stopped{reads: make(chan struct{})}
				o := Options{Stdout: slow}
				c := config.Sink{Format: config.JSON, Path: "-", OnFull: tt.before}
				sinks := []*Sink{open(t, c, o)}
				c.OnFull = tt.after
				configs := []config.Sink{c}
				if tt.besides {
					c := config.Sink{Format: config.JSON, Path: "-", OnFull: config.Suspend, MaxFiles: 1}
					sinks = append(sinks, open(t, c, Options{Stdout: other}))
					configs = []config.Sink{c, configs[0]}
				}
				l := NewLog(sinks, LogOptions{Sinks: o})
				var passed passing
				l.OnWritten(passed.add)
				l.OnDatagramWritten(passed.addDatagram)
				stop := running(t, l)
				l.Record(established(1, start))
				synctest.Wait() // it is being written
				l.Record(established(2, start))
				l.Datagram(begun(3))
				reloaded := make(chan error, 1)
				go func() { reloaded <- l.Reload(t.Context(), configs) }()
				synctest.Wait()
				close(slow.reads)
				must(t, <-reloaded)
				synctest.Wait()
				if got := passed.take(); !slices.Equal(got, tt.reloaded) {
					t.Errorf("%s: %d pass with the reload, want %d", tt.name, got, tt.reloaded)
				}
				close(other.reads)
				synctest.Wait()
				if got := passed.take(); !slices.Equal(got, tt.ended) {
					t.Errorf("%s: %d pass when all is written, want %d", tt.name, got, tt.ended)
				}
				must(t, stop())
			})
		}
	}
}

// errWriter takes nothing.
type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, os.ErrInvalid }
