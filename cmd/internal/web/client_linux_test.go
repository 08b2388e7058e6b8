package web

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// impostor serves answers of another program than syntap, and returns its address.
func impostor(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer, ReadHeaderTimeout: tuntest.Patience}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return l.Addr().String()
}

func clientOf(t *testing.T, address string) *Client {
	t.Helper()
	c, err := NewClient(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// An answer without end is not read to its end.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	c := clientOf(t, impostor(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/events") {
			fmt.Fprint(w, "data: ", strings.Repeat("a", 10*maxEvent), "\n\ndata: short\n\n")
			return
		}
		fmt.Fprint(w, `{"version":"`)
		for sent.Add(1<<10) < 1<<30 {
			if _, err := fmt.Fprint(w, strings.Repeat("a", 1<<10)); err != nil {
				return
			}
		}
	}))
	if s, err := c.Status(t.Context()); err == nil || s.Version != "" {
		t.Errorf("status of %d bytes, %v", len(s.Version), err)
	}
	if n := sent.Load(); n > 100*maxStatus {
		t.Errorf("%d bytes were read", n)
	}
	var got []string
	err := c.stream(t.Context(), "/api/events", func(e Event) { got = append(got, string(e.Data)) })
	if err != nil || len(got) != 1 || got[0] != "short" {
		t.Errorf("events: %d of them, %v", len(got), err)
	}
}

func TestHostileStatus(t *testing.T) {
	t.Parallel()
	c := clientOf(t, impostor(t, func(w http.ResponseWriter, _ *http.Request) {
		const evil = `\u001b]0;x\u0007\u202e\n`
		fmt.Fprint(w, strings.ReplaceAll(`{"version":"E","interface":"E","drops":{"E":1},"mss_rules":[{"rule":"E","hits":1}],"owners":{"lacks":["E"]},"log_lost":{"E":1}}`, "E", evil))
	}))
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report := s.Report()
	if lines := strings.Count(report, "\n"); lines != 14 || strings.ContainsAny(report, "\x1b\a\u202e") || !strings.Contains(report, `\x1b]0;x\x07\u202e\n`) {
		t.Errorf("%d lines: %q", lines, report)
	}
}

// TestTrust has another user listen on a Unix socket, in directories of root's and of its own.
func TestTrust(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs another user")
	}
	const other = 65534
	for _, tt := range []struct {
		owner   int
		mode    os.FileMode
		trusted bool
	}{{0, 0o755, false}, {other, 0o755, true}, {other, 0o775, false}, {other, 0o777, false}, {0, 0o777 | os.ModeSticky, false}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "http.sock")
		if err := errors.Join(os.Chown(dir, tt.owner, tt.owner), os.Chmod(dir, tt.mode), listenAs(t, other, path)); err != nil {
			t.Fatal(err)
		}
		within := tuntest.Patience
		if tt.trusted {
			within = time.Second // there is no answer
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		_, err := clientOf(t, "unix:"+path).Status(ctx)
		cancel()
		if refused := err != nil && strings.Contains(err.Error(), "user 65534 listens there"); refused == tt.trusted {
			t.Errorf("directory of user %d with mode %v: %v, want trusted %v", tt.owner, tt.mode, err, tt.trusted)
		}
	}
}
