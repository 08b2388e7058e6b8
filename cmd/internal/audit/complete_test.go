package audit

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
)

// TestVerifyComplete writes the log of three runs, the second of which is killed, and compares its
// counts with its records: whole, and with counts that do not fit.
func TestVerifyComplete(t *testing.T) {
	t.Parallel()
	path := logPath(t)
	c := config.Sink{Format: config.JSON, Path: path, Chain: true}
	frames := record.Frames{Read: 9, Accounted: 9}
	for i, id := range []string{"one", "two", "three"} {
		run := record.NewRun("gateway", id, start)
		if id == "two" {
			s := open(t, c, Options{Run: run})
			must(t, s.Record(established(1, start)))
			must(t, s.Flush())
			s.out.Close()
			continue
		}
		l := NewLog([]*Sink{open(t, c, Options{Run: run})}, LogOptions{})
		l.Account(&frames)
		for range i + 1 {
			l.Record(established(1, start))
		}
		l.Datagram(begun(2))
		l.Flow(over(begun(2)))
		l.Finding(&record.Finding{Header: record.Header{Time: start}, Kind: record.BlackHole, Confidence: record.High})
		must(t, l.Run(ended()))
	}
	verify := func() chain.Verified {
		v, err := chain.Verify(t.Context(), []string{path}, chain.Verifying{})
		must(t, err)
		return v
	}
	v := verify()
	want := []chain.Run{
		{First: 1, Last: 5, Begins: true, Ended: true, Records: record.Counts{Handshake: 1, Datagram: 1, Flow: 1, Finding: 1}, Frames: &frames},
		{First: 6, Last: 6, Begins: true, Records: record.Counts{Handshake: 1}},
		{First: 7, Last: 13, Begins: true, Ended: true, Records: record.Counts{Handshake: 3, Datagram: 1, Flow: 1, Finding: 1}, Frames: &frames},
	}
	for i := range v.Runs {
		if len(v.Runs[i].ID) != 16 {
			t.Errorf("run %d has the id %q", i, v.Runs[i].ID)
		}
		v.Runs[i].ID = ""
	}
	if diff := cmp.Diff(want, v.Runs); diff != "" || len(v.Breaks) > 0 {
		t.Errorf("runs (-want +got):\n%s%q", diff, v.Breaks)
	}
	must(t, os.Remove(path+".head")) // which vouches for a record that is about to change
	log, err := os.ReadFile(path)
	must(t, err)
	for from, want := range map[string]string{
		`"handshake":3`: "seq 13 says that the run wrote 2 handshakes, 1 datagram, 1 flow, 1 finding, " +
			"and the log has 3 handshakes, 1 datagram, 1 flow, 1 finding",
		`"accounted":9`: "seq 13 says that 9 frames came out of the TUN, and 8 are accounted for",
	} {
		at := strings.LastIndex(string(log), from)
		forged := string(log[:at]) + strings.NewReplacer("3", "2", "9", "8").Replace(from) + string(log[at+len(from):])
		must(t, os.WriteFile(path, []byte(rehashed(t, forged)), 0o600))
		if v := verify(); len(v.Breaks) != 1 || v.Breaks[0] != path+": "+want {
			t.Errorf("breaks %q, want %q", v.Breaks, want)
		}
	}
}

// TestVerifyCompleteAfterReload changes a sink, takes it away and gives it back: the records of the
// one run have an end where the sink was taken away, too.
func TestVerifyCompleteAfterReload(t *testing.T) {
	t.Parallel()
	c := config.Sink{Format: config.JSON, Path: logPath(t), Chain: true}
	o := Options{Run: record.NewRun("gateway", "one", start)}
	l := NewLog([]*Sink{open(t, c, o)}, LogOptions{Sinks: o})
	stop := running(t, l)
	l.Record(established(1, start))
	c.Sync = true
	must(t, l.Reload(t.Context(), []config.Sink{c}))
	l.Record(established(2, start))
	must(t, l.Reload(t.Context(), nil))
	l.Record(established(3, start))
	must(t, l.Reload(t.Context(), []config.Sink{c}))
	l.Datagram(begun(4))
	must(t, stop())
	v, err := chain.Verify(t.Context(), []string{c.Path}, chain.Verifying{})
	must(t, err)
	if len(v.Breaks) > 0 || len(v.Runs) != 2 || v.Runs[0].Records.Handshake != 2 || v.Runs[1].Records.Datagram != 1 {
		t.Errorf("breaks %q, runs %+v, want two handshakes and then a datagram", v.Breaks, v.Runs)
	}
}

// rehashed returns a log whose last record, which was altered, has its digest again.
func rehashed(t *testing.T, log string) string {
	t.Helper()
	lines := strings.SplitAfter(strings.TrimSuffix(log, "\n"), "\n")
	last := lines[len(lines)-1]
	l, ok := record.LinkOf([]byte(last))
	if !ok {
		t.Fatalf("no record of a chain: %s", last)
	}
	sum := record.NewChain(nil).Sum(l.Text)
	lines[len(lines)-1] = string(l.Text) + `,"hash":"` + fmt.Sprintf("%x", sum) + `"}` + "\n"
	return strings.Join(lines, "")
}
