package tuntest

import (
	"os"
	"syscall"
	"testing"
)

// WriteProgram writes a file that every user may execute. No process begins meanwhile: it would
// inherit the open file, and keep it from being run (ETXTBSY, go.dev/issue/22315).
func WriteProgram(tb testing.TB, path string, text []byte) {
	tb.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, text, 0o755)
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = os.Chmod(path, 0o755) // whatever the umask is
	}
	if err != nil {
		tb.Fatal(err)
	}
}
