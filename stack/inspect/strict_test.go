package inspect_test

import (
	"strings"
	"testing"

	"syntap/stack/inspect"
)

// TestStrict has first bytes whose name is not clear, and others that resemble them.
func TestStrict(t *testing.T) {
	t.Parallel()
	whole := hello(0x0303, extension(0, "\x00\x0a\x00\x00\x07a.local"))
	for _, tt := range []struct {
		name, bytes string
		want        inspect.Said // whose Hello has the SNI
	}{
		{"a long ClientHello", string(hello(0x0303, extension(21, strings.Repeat("\x00", inspect.MaxClient)))), unclear},
		{"an empty record", "\x16\x03\x01\x00\x00" + string(whole), unclear},
		{"a record too long", "\x16\x03\x01\x40\x01\x01", unclear},
		{"a ServerHello", "\x16\x03\x03\x00\x04\x02\x00\x00\x50", unclear},
		{"a malformed ClientHello", "\x16\x03\x03\x00\x04\x01\x00\x00\x00", unclear},
		{"another first byte", "\x16\x10\x00\x00\x00\x01", inspect.Said{}},
		{"TLS for PostgreSQL", sslRequest + string(whole), inspect.Said{Host: "a.local"}},
		{"a long ClientHello for PostgreSQL", sslRequest + "\x16\x03\x01\x40\x00\x01\x00\x40\x00", unclear},
		{"PostgreSQL", "\x00\x00\x00\x54\x00\x03\x00\x00user\x00me", inspect.Said{}},
		{"SSH", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", inspect.Said{}},
	} {
		checkStrict(t, tt.name, tt.bytes, tt.want)
	}
}

var unclear = inspect.Said{Unclear: true}

const sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

// checkStrict checks the result of b, and that no beginning of b has another one. The Host of want
// is the SNI where there is a ClientHello.
func checkStrict(t *testing.T, name, b string, want inspect.Said) {
	t.Helper()
	for n := range len(b) + 1 {
		got := inspect.Strict([]byte(b[:n]))
		if got.Hello != nil {
			got.Host, got.Hello = got.Hello.SNI, nil
		}
		switch {
		case got.Need > 0 && n == len(b), got.Need == 0 && got != want:
			t.Fatalf("%s: %d bytes of %d: %+v, want %+v", name, n, len(b), got, want)
		case got.Need > 0 && got != (inspect.Said{Need: got.Need}), got.Need > 0 && got.Need <= n:
			t.Fatalf("%s: %d bytes of %d: %+v", name, n, len(b), got)
		}
	}
}
