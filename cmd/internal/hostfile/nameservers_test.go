//go:build linux

package hostfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLongResolvConf: of a file of any length the first whole lines count.
func TestLongResolvConf(t *testing.T) {
	t.Parallel()
	const line = "nameserver 192.0.2.53\n"
	for _, test := range []struct{ name, text, want string }{
		{"short", line, line},
		{"many lines", strings.Repeat(line, 200_000), strings.Repeat(line, maxResolvConf/len(line))},
		{"long line", line + strings.Repeat("1", 1<<20), line},
		{"long line alone", strings.Repeat("1", 1<<20), ""},
	} {
		name := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(name, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadResolvConf(name); got != test.want || err != nil {
			t.Errorf("%s: %d bytes, %v; want %d", test.name, len(got), err, len(test.want))
		}
	}
}
