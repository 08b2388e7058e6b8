package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	logrustest "github.com/sirupsen/logrus/hooks/test"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/cmd/internal/fleet/routerlog"
	"syntap/cmd/internal/fleet/victorialogs"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/tun/tuntest"
)

func startStore(tb testing.TB) *victorialogs.Client {
	tb.Helper()
	url := fleettest.StartVictoriaLogs(tb).URL
	client, err := victorialogs.New(otlp.Options{URL: url})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// waitFor waits until a store shows the last records of logs.
func waitFor(tb testing.TB, store *victorialogs.Client, last map[fleet.LogID]uint64) {
	tb.Helper()
	tuntest.Wait(tb, "the records of the logs", func() bool {
		logs, err := store.Logs(tb.Context(), "")
		if err != nil {
			return false
		}
		n := 0
		for _, s := range logs {
			if s.Last == last[s.LogID] {
				n++
			}
		}
		return n == len(last)
	})
}

// verify returns the results of logs by router, and the logs that are missing.
func verify(tb testing.TB, store *victorialogs.Client, o Options) (map[string]*Log, []string) {
	tb.Helper()
	all := make(map[string]*Log)
	missing, err := Verify(tb.Context(), store, o, func(l *Log) error {
		if before := all[l.Router]; before == nil || before.Breaks == nil { // a router may have two
			all[l.Router] = l
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all, missing
}

// write writes lines to a file and returns its name.
func write(tb testing.TB, lines ...any) string {
	tb.Helper()
	var text []byte
	for _, line := range lines {
		b, err := json.Marshal(line)
		if err != nil {
			tb.Fatal(err)
		}
		text = append(append(text, b...), '\n')
	}
	name := filepath.Join(tb.TempDir(), "heads")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

func hashOf(line []byte) string { return fmt.Sprintf("%x", sha256.Sum256(line)) }

// headOf returns the head that "syntap fleet --heads" prints for a log up to seq.
func headOf(l *routerlog.Log, seq int) Head {
	return Head{
		Time: routerlog.Start, Router: l.Router, Log: l.ID().Log, Seq: uint64(seq), Hash: hashOf(l.Lines[seq-1]),
	}
}

// TestVerify: each change to a log is found, and no log is blamed that has none.
func TestVerify(t *testing.T) {
	t.Parallel()
	store := startStore(t)
	const n = 60
	last := make(map[fleet.LogID]uint64)
	put := func(router string, seed uint64, change func(lines [][]byte) [][]byte) *routerlog.Log {
		l := routerlog.New(router, n, seed, routerlog.Start, nil)
		lines := change(slices.Clone(l.Lines))
		l.Put(t, store, lines)
		last[l.ID()] = uint64(n)
		return l
	}
	change := func(line []byte) []byte {
		return bytes.Replace(line, []byte(`"host":"`), []byte(`"host":"x`), 1)
	}
	put("whole", 1, func(lines [][]byte) [][]byte { return lines })
	put("twice", 2, func(lines [][]byte) [][]byte { return append(lines, lines[10:30]...) })
	put("altered", 3, func(lines [][]byte) [][]byte { lines[20] = change(lines[20]); return lines })
	put("hole", 4, func(lines [][]byte) [][]byte { return slices.Delete(lines, 20, 25) })
	put("variants", 5, func(lines [][]byte) [][]byte { return append(lines, change(lines[20])) })
	first := put("first", 6, func(lines [][]byte) [][]byte { return lines })
	cut := put("cut", 7, func(lines [][]byte) [][]byte { return lines[:40] })
	last[cut.ID()] = 40
	late := put("late", 8, func(lines [][]byte) [][]byte { return lines[20:] })
	fork := put("fork", 9, func(lines [][]byte) [][]byte { return lines })
	other := routerlog.New("fork", n, 10, routerlog.Start, nil)
	forked := fleet.LogID{Router: "fork", Log: fleet.LogIDOf(fmt.Appendf(nil, "%s\n%s", fork.ID().Log, other.Lines[30]))}
	routerlog.PutAs(t, store, forked, other.Lines[30:])
	last[forked] = n
	wrong := fleet.LogID{Router: "wrong", Log: strings.Repeat("0", 16)}
	routerlog.PutAs(t, store, wrong, first.Lines)
	last[wrong] = n
	waitFor(t, store, last)

	gone := fleet.LogID{Router: "gone", Log: "0123456789abcdef"}
	heads := write(t, headOf(cut, 50), headOf(late, n), Head{Router: gone.Router, Log: gone.Log, Seq: 9, Hash: strings.Repeat("0", 64)})
	logs, missing := verify(t, store, Options{Heads: []string{heads}})
	for router, want := range map[string]string{
		"whole": "", "twice": "", "first": "", "late": "",
		"altered": "seq 21 was altered", "hole": "seq 21 to 25 are missing", "variants": "seq 21 is there with different content",
		"cut": "seq 41 to 50 are missing at the end", "fork": "other records from seq 31 on",
		"wrong": "its name is not that of its first record",
	} {
		got := strings.Join(logs[router].Breaks, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", router, got, want)
		}
	}
	if l := logs["late"]; l.Begins || l.Vouched != n {
		t.Errorf("late: begins %t, vouched up to %d", l.Begins, l.Vouched)
	}
	if len(missing) != 1 || !strings.Contains(missing[0], "gone, log 0123456789abcdef is missing") {
		t.Errorf("missing = %q", missing)
	}
}

// TestHeads: the head of a log is known in each of its forms, and contradicts a store that was cut.
func TestHeads(t *testing.T) {
	t.Parallel()
	store := startStore(t)
	l := routerlog.New("gate", 40, 1, routerlog.Start, nil)
	l.Put(t, store, l.Lines[:30])
	waitFor(t, store, map[fleet.LogID]uint64{l.ID(): 30})
	chained := func(seq int) string {
		name := filepath.Join(t.TempDir(), "log")
		logger, _ := logrustest.NewNullLogger()
		heads := chain.NewHeads(chain.HeadsOptions{Path: name, Chain: record.NewChain(nil), Logger: logger, Now: time.Now})
		link, _ := record.LinkOf(l.Lines[seq-1])
		heads.Write(uint64(seq), link.Hash, nil)
		heads.Close()
		return name + logfile.HeadSuffix
	}
	note := func(seq int) string {
		return write(t, map[string]any{"stores": []fleet.Confirmed{
			{URL: "https://a", Log: l.ID().Log, Begin: 1, Seq: uint64(seq), Hash: hashOf(l.Lines[seq-1])},
		}})
	}
	listed := func(seq int) string { return write(t, headOf(l, seq)) }
	for name, head := range map[string]func(seq int) string{"NAME.head": chained, "NAME.fleet": note, "fleet --heads": listed} {
		logs, missing := verify(t, store, Options{Heads: []string{head(30)}})
		if log := logs["gate"]; len(log.Breaks) > 0 || log.Vouched != 30 || len(missing) > 0 {
			t.Errorf("%s at the end: %q, vouched up to %d, %q", name, log.Breaks, log.Vouched, missing)
		}
		logs, _ = verify(t, store, Options{Heads: []string{head(40)}})
		if got := strings.Join(logs["gate"].Breaks, "\n"); !strings.Contains(got, "seq 31 to 40 are missing at the end") {
			t.Errorf("%s behind the end: %q", name, got)
		}
	}
}

// TestKeys: the keys of all routers are made of one.
func TestKeys(t *testing.T) {
	t.Parallel()
	store := startStore(t)
	master := []byte(strings.Repeat("k", 32))
	file := filepath.Join(t.TempDir(), "master")
	if err := os.WriteFile(file, master, 0o600); err != nil {
		t.Fatal(err)
	}
	last := make(map[fleet.LogID]uint64)
	for i := range 3 {
		router := fmt.Sprintf("r%d", i)
		l := routerlog.New(router, 30, uint64(i), routerlog.Start, chain.KeyOf(master, router))
		l.Put(t, store, l.Lines)
		last[l.ID()] = 30
	}
	waitFor(t, store, last)
	logs, _ := verify(t, store, Options{Master: file})
	for router, l := range logs {
		if len(l.Breaks) > 0 || l.Unproven || !l.Keyed {
			t.Errorf("%s: %q, unproven %t", router, l.Breaks, l.Unproven)
		}
	}
	if logs, _ = verify(t, store, Options{}); !logs["r1"].Unproven {
		t.Error("something is proven without the key")
	}
	if logs, _ = verify(t, store, Options{Key: file}); len(logs["r1"].Breaks) == 0 {
		t.Error("another key does for a router")
	}
}
