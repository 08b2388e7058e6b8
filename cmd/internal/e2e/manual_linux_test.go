package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// TestManualExamples runs the examples of syntap(1), one after the other, on the lab's router, with
// a server, a config and files of the lab's.
func TestManualExamples(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "tcpdump")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte("tap: {log: [{format: json, path: handshakes.json, chain: true}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The log has a connection, and one that is refused.
	r := &router{dir: dir}
	r.Process = lab.Router.Start("sh", "-c", "cd "+dir+" && exec "+binary+" run -c "+config)
	r.wait(t, "the routes", func() bool { return enters(lab.Router, tuntest.ServerAddr4, "syntap0") })
	lab.Router.Run("curl", "-sS", urls()[0])
	command(t, lab.Router, "curl", "-sS", strings.Replace(urls()[0], tuntest.ServerAddr4, tuntest.ServerAddr4+":81", 1))
	r.stop(t, os.Interrupt)

	here := strings.NewReplacer("/etc/syntap/config.yaml", config, "/var/log/syntap/", "", "http://example.com/", urls()[0],
		"example.com:80", tuntest.ServerAddr4+":80",
		"eth0", "lo", "capture.pcapng", "curl.pcapng", "12:00", "00:00")
	wants := []string{
		"> " + tuntest.ServerAddr4 + ".80: S ", // exec
		"",                                     // its log and capture, which come again below
		"> " + tuntest.ServerAddr4 + ".80: S ", // exec --allow
		"ip tuntap add dev syntap0",            // plan
		"",                                     // systemctl: TestSystemd
		"ECONNREFUSED",                         // log
		"curl",                                 // log --top
		"",                                     // mtu, which needs something large: TestMTU
		"all as they were written",             // verify
		"> " + tuntest.ServerAddr4 + ".80: S ", // replay
		"",                                     // of tcpdump, which here sees nothing
	}
	lines := manualExamples(t, lab.Router)
	if len(lines) != len(wants) {
		t.Fatalf("%d examples, want %d: %q", len(lines), len(wants), lines)
	}
	for i, line := range lines {
		if strings.HasPrefix(line, "systemctl ") || strings.HasPrefix(line, "syntap mtu ") {
			continue
		}
		script := "cd " + dir + " && syntap() { " + binary + ` "$@"; } && ` + tcpdumpUntilReady + here.Replace(line)
		got := command(t, lab.Router, "env", "SYNTAP_CONFIG="+config, "sh", "-c", script)
		if got.status != 0 || !strings.Contains(got.stdout+got.stderr, wants[i]) {
			t.Errorf("%s: %+v, want %q", line, got, wants[i])
		}
	}
}

// tcpdumpUntilReady has tcpdump end once it listens.
const tcpdumpUntilReady = `tcpdump() {
command tcpdump "$@" 2>tcpdump.said &
until grep -q "listening on" tcpdump.said; do sleep 0.01; done
kill $!
wait $!
}
`

// manualExamples returns the command lines among the examples of syntap(1).
func manualExamples(t *testing.T, ns *tuntest.Namespace) (lines []string) {
	t.Helper()
	page := strings.ReplaceAll(command(t, ns, binary, "man").stdout, `\-`, "-")
	_, examples, _ := strings.Cut(page, `.SH "EXAMPLES"`)
	for _, m := range regexp.MustCompile(`(?s)\.EX\n(.*?)\n\.EE`).FindAllStringSubmatch(examples, -1) {
		lines = append(lines, strings.Split(m[1], "\n")...)
	}
	return lines
}
