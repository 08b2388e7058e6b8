package hostfile

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestPipe reads a pipe in place of a resolv.conf: it ends, though there is no writer.
func TestPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := ReadResolvConf(path)
		read <- err
	}()
	select {
	case err := <-read:
		if !errors.Is(err, errNoFile) {
			t.Errorf("ReadResolvConf = %v, want %v", err, errNoFile)
		}
	case <-time.After(tuntest.Patience):
		t.Fatal("ReadResolvConf waits for a writer")
	}
}
