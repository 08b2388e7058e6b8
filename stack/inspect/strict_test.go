package inspect_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		{"a ClientHello of 17 KiB", "\x16\x03\x01\x40\x00\x01\x00\x44\x00", unclear},
		{"a ClientHello of 17 KiB, version 0", "\x16\x00\x00\x40\x00\x01\x00\x44\x00", unclear},
		{"a ClientHello of 1 MiB", "\x16\x03\x01\x40\x00\x01\x10\x00\x00", inspect.Said{}},
		{"an end within", "\x16\x03\x01\x00\x01\x01\x17\x03\x01\x00\x03", unclear},
		{"a malformed ClientHello", "\x16\x03\x03\x00\x05\x01\x00\x00\x01\x03", unclear},
		{"an empty record", "\x16\x03\x01\x00\x00" + string(whole), inspect.Said{Host: "a.local"}},
		{"a warning", "\x15\x03\x01\x00\x02\x01\x64" + string(whole), inspect.Said{Host: "a.local"}},
		{"a warning of version 0", "\x15\x00\x00\x00\x02\x01\x64" + string(whole), inspect.Said{Host: "a.local"}},
		{"a warning within", string(whole[:3]) + "\x00\x01\x01" + "\x15\x00\x00\x00\x02\x01\x64" +
			string(records(whole[6:], 1<<14)), inspect.Said{Host: "a.local"}},
		{"a ClientHello of version 15", "\x16\x0f" + string(whole[2:]), inspect.Said{Host: "a.local"}},
		{"a ClientHello of version 16", "\x16\x10" + string(whole[2:]), inspect.Said{}},
		{"a ServerHello", "\x16\x03\x03\x00\x04\x02\x00\x00\x50", inspect.Said{}},
		{"a record too long", "\x16\x03\x01\x40\x01\x01", inspect.Said{}},
		{"application data", "\x17\x03\x03\x00\x14\x01", inspect.Said{}},
		{"MongoDB, 278 bytes", "\x16\x01\x00\x00\x05\x01\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", inspect.Said{}},
		{"MongoDB, 790 bytes", "\x16\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", inspect.Said{}},
		{"MongoDB, 789 bytes", "\x15\x03\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\xdd\x07\x00\x00", inspect.Said{}},
		{"TLS for PostgreSQL", sslRequest + string(whole), inspect.Said{Host: "a.local"}},
		{"a long ClientHello for PostgreSQL", sslRequest + "\x16\x03\x01\x40\x00\x01\x00\x44\x00", unclear},
		{"PROXY", proxy1 + string(whole), inspect.Said{Host: "a.local"}},
		{
			"PROXY of version 2", proxy2 + "\x00\x10" + addresses + "\x03\x00\x01\x00" + string(whole),
			inspect.Said{Host: "a.local"},
		},
		{"PROXY of no family", proxy2[:13] + "\x00\x00\x00" + string(whole), inspect.Said{Host: "a.local"}},
		{
			"PROXY twice, and PostgreSQL", proxy1 + proxy2 + "\x00\x0c" + addresses + sslRequest + string(whole),
			inspect.Said{Host: "a.local"},
		},
		{"PROXY with a name", proxy2 + "\x00\x14" + addresses + "\x03\x00\x01\x00\x02\x00\x01b" + string(whole), unclear},
		{"PROXY of 17 KiB", proxy2 + "\x44\x00", unclear},
		{"PROXY of version 3", proxy2[:12] + "\x31\x11\x00\x0c" + addresses, inspect.Said{}},
		{"PROXY with a line end of its own", "PROXY UNKNOWN\nGET / HTTP/1.1\nHost: a\n\r\n", unclear},
		{"PROXY with a carriage return", "PROXY UNKNOWN\rb\r\n", unclear},
		{"a method PROXY", "PROXY / HTTP/1.1\r\nHost: a\r\n\r\n", inspect.Said{Host: "a"}},
		{"PostgreSQL", "\x00\x00\x00\x54\x00\x03\x00\x00user\x00me", inspect.Said{}},
	} {
		checkStrict(t, tt.name, tt.bytes, tt.want)
	}
}

// TestStrictHTTP has requests that servers take, though some against RFC 9112, and lines that are
// none.
func TestStrictHTTP(t *testing.T) {
	t.Parallel()
	said := func(host, field string) inspect.Said { return inspect.Said{Host: host, Field: field} }
	const host, end = "\r\nHost: a\r\n\r\n", "\r\n\r\n"
	for b, want := range map[string]inspect.Said{
		"GET / HTTP/1.1" + host:                          said("a", ""),
		" \tGET / HTTP/1.1" + host:                       said("a", ""),
		strings.Repeat("X", 100) + " / HTTP/1.1" + host:  said("a", ""),
		"GET /\x01 HTTP/1.1" + host:                      said("a", ""),
		"GET http://a/ HTTP/1.1" + host:                  said("a", "a"),
		"GET http://a/ HTTP/1.1\r\nHost: b:80\r\n\r\n":   said("a", "b"),
		"CONNECT a:443 HTTP/1.1\r\nX: y\r\nHost: b\r\nZ": said("a", "b"),
		"CONNECT a:443 HTTP/1.0" + end:                   said("a", ""),
		"GET http://a/\r\n":                              said("a", ""),
		"GET / HTTP/1.1 " + host:                         unclear,
		"GET / HTTP/1.10" + host:                         unclear,
		"GET / HTTP/01.1" + host:                         unclear,
		"GET / http/1.1" + host:                          unclear,
		"GET\t/ HTTP/1.1" + host:                         unclear,
		"GET /\tHTTP/1.1" + host:                         unclear,
		"GET HTTP/1.1" + host:                            unclear,
		"GET / HTTP/1.1\rHost: a\r\n":                    unclear,
		"GET http://a/ HTTP/1.1 http://b/ HTTP/1.1\r\n":  unclear,
		"GET / HTTP/1.1\r\nX: y\rHost: b" + host:         unclear,
		"GET / HTTP/1.1\r\nX: y\x00" + host:              unclear,
		"GET / HTTP/1.1\r\nHost : b" + host:              unclear,
		"GET / HTTP/1.1\r\nX: y\r\n Host: b" + host:      unclear,
		"GET / HTTP/1.1\r\nHost:\r\n b" + end:            unclear,
		"GET / HTTP/1.1\r\nHost: a\r\n\tb" + end:         unclear,
		proxy1 + "GET / HTTP/1.1" + host:                 said("a", ""),
		proxy1 + "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n":    {},
		"PRI * HTTP/2.0\r\n":                             {},
		"get http/index http://a/\r\n":                   {},
		"0 \x02\x01\x01cn=a":                             {},
		"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n":             {},
		"<stream:stream to='a'>":                         {},
		"{\"id\": 1}":                                    {},
		"l\x00\x0b\x00":                                  {},
		"AT\r":                                           {},
		"OPTIONS rtsp://b/ RTSP/1.0\r\n":                 {},
	} {
		checkStrict(t, strconv.Quote(b), b, want)
	}
	for _, b := range []string{
		"GET / HTTP/1.1\r\nHost: b:80@a\r\n\r\n",
		"GET http://b:80@a/ HTTP/1.1" + host,
	} {
		if said := inspect.Strict([]byte(b)); !said.Unclear {
			t.Errorf("%q: %+v", b, said)
		}
	}
}

// FuzzStrict checks that Strict finds each name that Client finds, or says that it is not clear.
func FuzzStrict(f *testing.F) {
	f.Add([]byte("GET http://a:80/ HTTP/1.1\r\nHost: b\r\n\r\n"))
	f.Add([]byte(proxy1 + proxy2 + "\x00\x14" + addresses + "\x03\x00\x01\x00\x02\x00\x01b"))
	f.Add([]byte("\x15\x03\x01\x00\x02\x01\x64"))
	f.Add(hello(0x0303, extension(0, "\x00\x0a\x00\x00\x07a.local")))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), inspect.MaxClient)]
		hello, host, _ := inspect.Client(b)
		said := inspect.Strict(b)
		if said.Need == 0 && !said.Unclear && (!cmp.Equal(said.Hello, hello) || host != "" && said.Host != host) {
			t.Errorf("%v %q, read strictly: %+v", hello, host, said)
		}
		if said.Need > 0 && (said.Need <= len(b) || said != inspect.Said{Need: said.Need}) {
			t.Errorf("%d bytes: %+v", len(b), said)
		}
		checkText(t, said.Host+said.Field)
	})
}

var unclear = inspect.Said{Unclear: true}

// Beginnings of PROXY headers.
const (
	proxy1    = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
	proxy2    = "\r\n\r\n\x00\r\nQUIT\n\x21\x11"
	addresses = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x00\x01\x00\x02"
)

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
