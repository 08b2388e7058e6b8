package query

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// New is a destination, port or process that no connection before had, and only its first one is
// printed. A process that is not known may be that of a connection before.
func TestNewSince(t *testing.T) {
	t.Parallel()
	l := newLog("gate", start)
	for i, c := range []connection{
		{server: "203.0.113.2:443", name: "a.example", process: "curl"},
		{server: "203.0.113.3:80", process: "curl"},
		// From here on it is new.
		{server: "203.0.113.9:443", name: "A.example", process: "curl"},
		{server: "203.0.113.3:80", process: "curl"},
		{server: "203.0.113.2:443", name: "b.example", process: "curl"},
		{server: "203.0.113.2:8443", name: "a.example", process: "curl"},
		{server: "203.0.113.3:80", process: "wget"},
		{server: "203.0.113.3:80", process: "wget"},
		{server: "203.0.113.3:80"},
	} {
		c.at, c.client, c.outcome = i, "192.0.2.1:1000", "refused"
		l.handshake(&c)
	}
	f := file(t, l.lines)
	since := start.Add(2 * time.Second)
	var starts []string
	for _, r := range rows(t, Query{NewSince: since}, f) {
		starts = append(starts, r.start)
	}
	if want := []string{"4s", "5s", "6s"}; !slices.Equal(starts, want) {
		t.Errorf("new at %q, want %q", starts, want)
	}
	var out strings.Builder
	if err := Run(Query{NewSince: since, Top: []string{"process"}}, []string{f}, &out); err != nil {
		t.Error(err)
	}
	if want := "       2  curl\n       2  wget\n"; out.String() != want {
		t.Errorf("counted %q, want %q", out.String(), want)
	}
	out.Reset()
	if err := Run(Query{NewSince: since, Format: JSON}, []string{f}, &out); err != nil {
		t.Error(err)
	}
	if want := string(bytes.Join([][]byte{l.lines[4], l.lines[5], l.lines[6]}, nil)); out.String() != want {
		t.Errorf("printed %s\nwant %s", out.String(), want)
	}
}

// TestDiffWithoutProcess has connections of which the process is not known, in either log.
func TestDiffWithoutProcess(t *testing.T) {
	t.Parallel()
	log := func(all ...connection) (lines [][]byte) {
		l := newLog("gate", start)
		for i, c := range all {
			c.at, c.client, c.outcome = i, "192.0.2.1:1000", "refused"
			l.handshake(&c)
		}
		return l.lines
	}
	older := log(connection{server: "203.0.113.1:80"}, connection{server: "203.0.113.2:80", process: "curl"})
	newer := log(
		connection{server: "203.0.113.1:80", process: "curl"}, connection{server: "203.0.113.2:80"},
		connection{server: "203.0.113.3:80"}, connection{server: "203.0.113.3:80", process: "curl"},
		connection{server: "203.0.113.4:80"})
	var out strings.Builder
	n, err := Diff(Query{Format: JSON}, []string{file(t, older)}, []string{file(t, newer)}, &out)
	if want := string(newer[3]) + string(newer[4]); n != 2 || err != nil || out.String() != want {
		t.Errorf("%d are new, %v:\n%s\nwant\n%s", n, err, out.String(), want)
	}
}

func TestLast(t *testing.T) {
	t.Parallel()
	l := mixture()
	f := file(t, l.lines)
	for _, tt := range []struct {
		last int
		want []string
	}{{0, []string{"0s", "1s", "2s", "3s", "4s", "5s", "6s"}}, {2, []string{"5s", "6s"}}, {3, []string{"4s", "5s", "6s"}}, {50, []string{"0s", "1s", "2s", "3s", "4s", "5s", "6s"}}} {
		var starts []string
		for _, r := range rows(t, Query{Last: tt.last}, f) {
			starts = append(starts, r.start)
		}
		if !slices.Equal(starts, tt.want) {
			t.Errorf("last %d: %q, want %q", tt.last, starts, tt.want)
		}
	}
	var out strings.Builder
	if err := Run(Query{Last: 2, Format: JSON}, []string{f}, &out); err != nil {
		t.Error(err)
	}
	if want := string(bytes.Join(l.lines[len(l.lines)-2:], nil)); out.String() != want {
		t.Errorf("printed %s\nwant %s", out.String(), want)
	}
}

// Follow prints a connection when it begins and when it ends.
func TestFollowConnections(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log.json")
	lines := mixture().lines
	write := func(lines [][]byte) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Join(lines, nil)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(lines[:2])
	var out tuntest.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Follow(ctx, Query{Format: Line}, []string{name}, &out) }()
	tuntest.Wait(t, "the connections that are open", func() bool { return strings.Count(out.String(), ", open\n") == 2 })
	write(lines[2:])
	tuntest.Wait(t, "the end of one", func() bool { return strings.Contains(out.String(), "4.88 KiB") })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(got) != 9 { // two more than connections: of one that ends, and of a query
		t.Errorf("%d lines, want 9:\n%s", len(got), out.String())
	}
}

// Records that are missing in the times of a query are told.
func TestGaps(t *testing.T) {
	t.Parallel()
	const gap = `{"time":"2026-11-23T07:50:10.000000Z","level":"%s","msg":"gap","seq":%d,"from":"2026-11-23T07:50:05.000000Z",` +
		`"to":"2026-11-23T07:50:09.000000Z","lost":7,"reason":"queue_full"}` + "\n"
	lines := append(mixture().lines, fmt.Appendf(nil, gap, "warning", 100), fmt.Appendf(nil, gap, "info", 101))
	f := file(t, lines)
	for _, tt := range []struct {
		filter string
		format Format
		want   int
	}{
		{"", Line, 1},
		{"", Modern, 1},
		{"port:443", CSV, 1},
		{"port:443", Classic, 1},
		{"", JSON, 0},
		{"since:2026-11-23T07:50:10Z", Line, 0},
		{"until:2026-11-23T07:50:06Z", Line, 1},
		{"until:2026-11-23T07:50:04Z", Line, 0},
	} {
		var notices []string
		q := Query{Filter: parse(t, tt.filter), Format: tt.format, Notice: func(text string) { notices = append(notices, text) }}
		if err := Run(q, []string{f}, new(strings.Builder)); err != nil {
			t.Error(err)
		}
		if len(notices) != tt.want || tt.want == 1 && !strings.HasSuffix(notices[0], "(queue_full): 7 lost") {
			t.Errorf("%q as %s: notices %q, want %d", tt.filter, tt.format, notices, tt.want)
		}
	}
}
