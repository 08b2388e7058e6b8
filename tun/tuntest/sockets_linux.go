package tuntest

import (
	"os"
	"strings"
	"testing"
)

// OpenSockets returns the number of sockets of this process.
func OpenSockets(tb testing.TB) (n int) {
	tb.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	for _, fd := range all {
		name, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err == nil && strings.HasPrefix(name, "socket:") {
			n++
		}
	}
	return n
}
