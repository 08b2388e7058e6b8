package configs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"syntap/configs"
)

// TestLnav has lnav read the records of records.md, and one of a refused connection, with the
// format that comes with the program: time, level and fields.
func TestLnav(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("lnav"); err != nil {
		t.Skip("needs lnav")
	}
	dir := t.TempDir()
	formats := filepath.Join(dir, "formats", "syntap")
	format, err := os.ReadFile("lnav/syntap.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(formats, 0o700); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "handshakes.json")
	for path, content := range map[string][]byte{filepath.Join(formats, "syntap.json"): format, log: records(t)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lnav := func(args ...string) string {
		cmd := exec.Command("lnav", append([]string{"-N", "-n", "-I", dir}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "TERM=dumb")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("lnav %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	got := lnav("-c", ";select log_time, log_level, msg, outcome, dport, process, inbound_bytes from syntap order by seq", "-c", ":write-csv-to -", log)
	for _, want := range []string{
		"2026-11-26 09:21:59.831,info,flow,answered,53,curl,49\n",
		"2026-11-26 09:21:59.838,info,flow,<NULL>,80,curl,187\n",
		"2026-11-26 10:00:00.000,error,handshake,refused,5432,psql,<NULL>\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lnav's table lacks %q:\n%s", want, got)
		}
	}
	if got, want := lnav(log), regexp.MustCompile(`(?m)^2026-11-26T10:00:00\.000 .*refused +psql .*192\.0\.2\.1:1 > 192\.0\.2\.2:5432`); !want.MatchString(got) {
		t.Errorf("lnav prints\n%s, want %s", got, want)
	}
}

// records returns the records of records.md, one a line, in the order of their times, which is
// their key that comes first.
func records(t *testing.T) []byte {
	t.Helper()
	var lines []string
	for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(configs.Records(), -1) {
		var line bytes.Buffer
		if err := json.Compact(&line, m[1]); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line.String())
	}
	lines = append(lines, `{"time":"2026-11-26T10:00:00.000000Z","level":"info","msg":"handshake","seq":99,"outcome":"refused",`+
		`"src":"192.0.2.1","sport":1,"dst":"192.0.2.2","dport":5432,"process":"psql"}`)
	slices.Sort(lines)
	return []byte(strings.Join(lines, "\n") + "\n")
}
