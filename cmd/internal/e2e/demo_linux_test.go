package e2e_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

// TestDemo checks that the tour shows a real handshake and fills in its numbers, in a namespace
// that has no network at all, and leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	before := ns.State()
	got := command(t, ns, binary, "demo")
	if got.status != 0 || got.stderr != "" {
		t.Fatalf("demo: %+v", got)
	}
	const ends = `192\.168\.1\.12\.1051 > 192\.168\.1\.11\.23: `
	const back = `192\.168\.1\.11\.23 > 192\.168\.1\.12\.1051: `
	lines := regexp.MustCompile(`(?m)^ +` + ends + `S (\d+):\d+\(0\) win \d+ <mss 1460,.*> \(DF\)\n +` +
		back + `S (\d+):\d+\(0\) ack (\d+) win \d+ <mss 1460,.*> \(DF\)\n +` + ends + `\. ack (\d+) win \d+ <.*> \(DF\)$`)
	m := lines.FindStringSubmatch(strings.Join(distinct(got.stdout), "\n"))
	if m == nil {
		t.Fatalf("demo shows no handshake:\n%s", got.stdout)
	}
	var n [4]uint32
	for i := range n {
		v, err := strconv.ParseUint(m[i+1], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		n[i] = uint32(v)
	}
	if n[2] != n[0]+1 || n[3] != n[1]+1 {
		t.Errorf("x, y, ack, ack = %d, want x+1 and y+1", n)
	}
	for _, want := range []string{fmt.Sprintf("x = %d", n[0]), fmt.Sprintf("y = %d", n[1]), "x+1", "y+1", "win ", "mss 1460", "(DF)"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("demo does not say %q:\n%s", want, got.stdout)
		}
	}
	for line := range strings.Lines(got.stdout) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 && !strings.Contains(line, "> ") {
			t.Errorf("line of %d columns: %s", n, line)
		}
	}
	if after := ns.State(); after != before {
		t.Errorf("demo left something behind:\n%s\nwas:\n%s", after, before)
	}
}
