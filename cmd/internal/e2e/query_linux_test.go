package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/filter"
	"syntap/tun/tuntest"
)

// TestLog asks a running router's log, which is rotated and compressed, and follows it.
func TestLog(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	serveEchoes(lab)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap:
  log:
    - {format: json, path: DIR/handshakes.json, max_size: 64KiB, compress: true}
    - {format: classic, path: DIR/classic.txt}
    - {format: modern, path: DIR/modern.txt}
`)
	r.Process = lab.Router.Start(binary, "run", "-c", config)
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	follow := lab.Router.Start(binary, "log", "-c", config, "--follow", "--json", "--port", "80")
	const connections = 200
	connectEchoes(t, lab, connections)
	lab.Router.Run("curl", "-sS", urls()[0])
	r.wait(t, "the record of curl", func() bool { return strings.Contains(follow.Stdout(), "\n") })
	if !strings.Contains(follow.Stdout(), `"dport":80`) {
		t.Errorf("followed: %s", follow.Stdout())
	}
	named := strings.Contains(follow.Stdout(), `"process":"curl"`) // within 2 ms, which a busy machine does not always have
	if err := follow.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-follow.Done()
	if err := follow.Err(); err != nil {
		t.Errorf("log --follow ended with %v", err)
	}
	r.stop(t, unix.SIGTERM)

	ask := func(args ...string) string {
		got := command(t, lab.Router, binary, append([]string{"log", "-c", config}, args...)...)
		if got.status != 0 || got.stderr != "" {
			t.Errorf("log %q: %+v", args, got)
		}
		return got.stdout
	}
	for _, dialect := range []string{"classic", "modern"} {
		if diff := cmp.Diff(r.read(t, dialect+".txt"), ask("--format", dialect)); diff != "" {
			t.Errorf("%s (-log +query):\n%s", dialect, diff)
		}
	}
	if got, want := ask("--top", "port"), "     200  7000\n       1  80\n"; got != want {
		t.Errorf("log --top port = %q, want %q", got, want)
	}
	segments := 0 // of curl's handshake: on a machine that stalls they are repeated
	for line := range strings.Lines(ask("--json", "--port", "80")) {
		for _, r := range parseRecords(t, line) {
			segments += len(r.Lines)
		}
	}
	if segments < 3 {
		t.Errorf("curl's handshake has %d segments, want three", segments)
	}
	for _, args := range [][]string{
		{"--process", "curl"}, {"--port", "80"}, {"--since", "1h", "--dst", tuntest.ServerAddr4, "--port", "80"},
	} {
		if args[0] == "--process" && !named {
			continue
		}
		if got := strings.Count(ask(args...), "\n"); got != 1 {
			t.Errorf("log %q: %d lines, want 1", args, got)
		}
		if got := strings.Count(ask(append(args, "--format", "modern")...), "\n"); got != segments {
			t.Errorf("log %q: %d lines of tcpdump, want %d", args, got, segments)
		}
	}
	for _, args := range [][]string{{"--outcome", "refused"}, {"--until", "2026-01-01"}} {
		if got := ask(args...); got != "" {
			t.Errorf("log %q: %s", args, got)
		}
	}
}

// TestLogMistakes: bad input gets one line of error, a hint where there is a remedy, and status 2.
func TestLogMistakes(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewNamespace(t)
	const timeHint = "hint: write it like 2026-11-23T07:50:00Z, 2026-11-23 07:50, 2026-11-23, 14:00, " +
		"today 14:00, yesterday, 2h or 2d\n"
	for _, tt := range []struct{ args, want string }{
		{"", "syntap: config: the built-in one\nsyntap: no JSON log to search\nhint: name its FILE, or with -c the config that has one\n"},
		{"--since never", "syntap: --since: \"never\" is no time\n" + timeHint},
		{"--new-since never", "syntap: --new-since: \"never\" is no time\n" + timeHint},
		{"--port 65536 --src here", "syntap: --src: \"here\" is neither an address nor a prefix\nsyntap: --port: \"65536\" is no port\n"},
		{"--outcome perfect", "syntap: --outcome: \"perfect\" is unknown\nhint: one of established, refused, unreachable, denied, aborted, no_reply, half_open, answered\n"},
		{"--min-bytes much", "syntap: --min-bytes: \"much\" is no size\nhint: write it like 500, 100KB or 1.5MiB\n"},
		{"--filter colour:443", "syntap: --filter: column 1: \"colour\" is no key\nhint: keys are " + strings.Join(filter.Keys(), ", ") + "\n"},
		{"--not prt:443", "syntap: --not: column 1: \"prt\" is no key\nhint: did you mean \"port\"?\n"},
		{"--top color", "syntap: --top: \"color\" cannot be counted\nhint: one of " + strings.Join(filter.GroupKeys(), ", ") + "\n"},
		{"--top=", "syntap: invalid argument \"\" for \"--top\" flag: is empty\nhint: run \"syntap log --help\"\n"},
		{"--since 1h --until 2h", "syntap: --until: is not later than the time of --since\nhint: --since 2h --until 1h is the hour before the last\n"},
		{"--by bytes", "syntap: --by: says what --top counts\nhint: add --top KEY\n"},
		{"--top dst --follow", "syntap: --top: counts what is there, and --follow has no end\nhint: leave one of them out\n"},
		{"--top dst --format ecs", "syntap: --top: counts, which ecs has no form for\nhint: use --format line, csv or json\n"},
		{"--format modern --min-bytes 1MB", "syntap: --format: modern prints handshakes, of which none has bytes\nhint: use --format line, csv or json\n"},
		{"--json --format csv", "syntap: --json: is not --format csv\nhint: leave one of them out\n"},
		{"-n -1", "syntap: --lines: -1 is negative\n"},
		{"--follow -", "syntap: standard input cannot be followed\nhint: leave out --follow: it is read to its end\n"},
	} {
		got := command(t, lab, binary, append([]string{"log"}, strings.Fields(tt.args)...)...)
		if diff := cmp.Diff(result{status: 2, stderr: tt.want}, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("log %s (-want +got):\n%s", tt.args, diff)
		}
	}
}

// TestLogOfPipes reads files that can be read once only.
func TestLogOfPipes(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash")
	ns := tuntest.NewNamespace(t)
	const script = `record() { printf '{"time":"2026-01-01T00:00:00.000000Z","level":"info","msg":"handshake","seq":%d,"outcome":"refused"}\n' "$@"; }
"$0" log --top outcome <(record $(seq 100)) && "$0" log --top outcome <(record $(seq 100)) <(record $(seq 51 150))`
	const stdin = `; record 1 2 | "$0" log --top outcome -; record 1 2 3 | gzip | "$0" log --json - | wc -l; echo x | "$0" log -`
	got := command(t, ns, "bash", "-c", script+stdin, binary)
	want := result{
		status: 1, stdout: "     100  refused\n     150  refused\n       2  refused\n3\n",
		stderr: "syntap: standard input:1: not a record\n",
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("log of pipes (-want +got):\n%s", diff)
	}
}

// TestForeignLogs: a file that is no log is said to be none, by file and line.
func TestForeignLogs(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	dir := t.TempDir()
	const one = `{"time":"2026-01-01T00:00:00.000000Z","level":"info","msg":"handshake","seq":1,"outcome":"refused","lines":["a"]}` + "\n"
	for name, text := range map[string]string{
		"log": one, "spaces": strings.ReplaceAll(one, `,"`, `, "`), "log.head": "x\n", "log.fleet": "x\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, tt := range []struct {
		files []string
		want  result
	}{
		{[]string{path("log"), path("spaces"), path("log"), path("log.head"), path("log.fleet")}, result{stdout: "       1  refused\n"}},
		{[]string{path("log.head")}, result{status: 1, stderr: "syntap: no logs among the files\n"}},
		{[]string{"/etc/hostname"}, result{status: 1, stderr: "syntap: /etc/hostname:1: not a record\n"}},
	} {
		got := command(t, ns, binary, append([]string{"log", "--top", "outcome"}, tt.files...)...)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(result{})); diff != "" {
			t.Errorf("log %q (-want +got):\n%s", tt.files, diff)
		}
	}
}
