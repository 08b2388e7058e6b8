package follow

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoDescriptors: a rotated file that cannot be opened for want of descriptors is not damaged:
// its records are handed on when there are some. It is not parallel, as the limit is that of all
// tests.
func TestNoDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log-20261126T075000.000000Z.json")
	if err := os.WriteFile(path, []byte(`{"seq":1}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := 0
	r := Behind(filepath.Join(filepath.Dir(path), "log.json"), 0)
	r.catching = true
	r.Damaged = func(err error) { t.Errorf("damaged: %v", err) }
	hand := func(Lines) error { read++; return nil }
	if err := withoutDescriptors(t, func() error { return r.rotatedFile(path, hand) }); err == nil || read > 0 {
		t.Errorf("%d runs of lines, error %v without descriptors", read, err)
	}
	if err := r.rotatedFile(path, hand); err != nil || read != 1 {
		t.Errorf("%d runs of lines, error %v with descriptors", read, err)
	}
}

// withoutDescriptors calls f while this process can open no file.
func withoutDescriptors(t *testing.T, f func() error) error {
	t.Helper()
	var usual unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &usual); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: usual.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &usual); err != nil {
			t.Fatal(err)
		}
	}()
	return f()
}
