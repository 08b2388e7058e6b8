package isolate

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestRules asks for the rules of older and newer kernels: they refuse bits that they don't know.
func TestRules(t *testing.T) {
	t.Parallel()
	const (
		abstract = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		signals  = unix.LANDLOCK_SCOPE_SIGNAL
	)
	for _, tt := range []struct {
		version, errata int
		files, scoped   uint64
	}{
		{1, 0, 1<<13 - 1, 0},
		{2, 0, 1<<14 - 1, 0},
		{4, 0, 1<<15 - 1, 0},
		{5, 0, 1<<16 - 1, 0},
		{6, 0, 1<<16 - 1, abstract},
		{6, 1 << 1, 1<<16 - 1, abstract | signals},
		{7, 1 << 0, 1<<16 - 1, abstract},
		{9, 1<<3 - 1, 1<<17 - 1, abstract | signals},
		{100, 1<<3 - 1, 1<<17 - 1, abstract | signals},
	} {
		attr := rules(tt.version, tt.errata)
		if attr.Handled_access_fs != tt.files || attr.Scoped != tt.scoped || attr.Handled_access_net != 0 {
			t.Errorf("version %d, errata %b: %+v, want files %x and scopes %x", tt.version, tt.errata, attr, tt.files, tt.scoped)
		}
	}
}
