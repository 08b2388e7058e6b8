package e2e_test

import (
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestLogLine: a connection has one line while it goes on, when it is over, and when its run was
// killed before its end.
func TestLogLine(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	serveEchoes(lab)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {log: [{format: json, path: DIR/log.json}]}
`)
	start := func() {
		t.Helper()
		r.Process = lab.Router.Start(binary, "run", "-c", config)
		r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	}
	connect := func() net.Conn {
		t.Helper()
		conn, err := lab.Router.Dial(t.Context(), "tcp", net.JoinHostPort(tuntest.ServerAddr4, "7000"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, len("hello"))); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	lines := func(args ...string) []string {
		t.Helper()
		args = append([]string{"log", "--port", "7000"}, args...)
		got := command(t, lab.Router, binary, append(args, filepath.Join(r.dir, "log.json"))...)
		if got.status != 0 || got.stderr != "" {
			t.Fatalf("log: %+v", got)
		}
		return strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	}
	last := func(want string, args ...string) {
		t.Helper()
		var all []string
		r.wait(t, "a line with "+want, func() bool {
			all = lines(args...)
			matched, err := regexp.MatchString(want, all[len(all)-1])
			return err == nil && matched
		})
	}
	start()
	first := connect()
	last(`established .*:7000 .*connect \d.*, open$`)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	last(`established .*:7000 .*, out 5 B, .*, lasted .*, client fin$`)
	connect()
	last(`, open$`)
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.Done()
	start()
	connect()
	last(`, open$`)
	all := lines()
	if len(all) != 3 || !strings.HasSuffix(all[1], ", end unknown") {
		t.Errorf("after a kill:\n%s", strings.Join(all, "\n"))
	}
	if got := lines("--min-bytes", "5"); len(got) != 1 || got[0] != all[0] {
		t.Errorf("with 5 bytes: %q", got)
	}
	if got := lines("--filter", "open"); len(got) != 1 || got[0] != all[2] {
		t.Errorf("open: %q", got)
	}
	r.stop(t, unix.SIGTERM)
}
