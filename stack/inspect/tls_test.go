package inspect_test

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/stack/inspect"
	"syntap/stack/inspect/inspecttest"
	"syntap/tun/flow"
)

// records puts a handshake message into records of at most size bytes.
func records(message []byte, size int) (b []byte) {
	for part := range slices.Chunk(message, size) {
		b = append(b, 22, 3, 1, byte(len(part)>>8), byte(len(part)))
		b = append(b, part...)
	}
	return b
}

func TestClientHello(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config *tls.Config
		want   flow.Hello
	}{
		{"plain", &tls.Config{ServerName: "www.Example.com"}, flow.Hello{Version: "1.3", SNI: "www.example.com"}},
		{
			"ALPN", &tls.Config{ServerName: "a.example", NextProtos: []string{"h2", "http/1.1"}},
			flow.Hello{Version: "1.3", SNI: "a.example", ALPN: []string{"h2", "http/1.1"}},
		},
		{"TLS 1.2", &tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}, flow.Hello{Version: "1.2", SNI: "a.example"}},
		{
			"TLS 1.0", &tls.Config{ServerName: "a.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
			flow.Hello{Version: "1.0", SNI: "a.example"},
		},
		{"no name", &tls.Config{ServerName: "192.0.2.1"}, flow.Hello{Version: "1.3"}},
		{
			"ECH", &tls.Config{ServerName: "secret.example", EncryptedClientHelloConfigList: inspecttest.ECHConfigs(t, "public.example")},
			flow.Hello{Version: "1.3", SNI: "public.example", ECH: true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := inspecttest.TLSHello(t, tt.config)
			checkPrefixes(t, b, &tt.want, "")
			for size := 1; size < len(b); size += 1 + size/3 {
				checkPrefixes(t, records(b[5:], size), &tt.want, "")
			}
		})
	}
}

// checkPrefixes checks that Client says at no split of b what it does not say of all, and that it
// names the number of bytes that it needs.
func checkPrefixes(t *testing.T, b []byte, want *flow.Hello, wantHost string) {
	t.Helper()
	last := 0 // the last need
	for n := range len(b) + 1 {
		hello, host, need := inspect.Client(b[:n])
		switch {
		case need == 0:
			if n < last && (want != nil || wantHost != "") {
				t.Fatalf("%d bytes were needed, and %d say all", last, n)
			}
			if diff := cmp.Diff(want, hello); diff != "" || host != wantHost {
				t.Fatalf("%d bytes of %d: host %q\n%s", n, len(b), host, diff)
			}
			if _, _, need = inspect.Client(b); need != 0 {
				t.Fatalf("%d bytes say all, and more bytes need %d", n, need)
			}
			return
		case hello != nil || host != "" || need <= n || need > len(b):
			t.Fatalf("%d bytes of %d: %v %q, need %d", n, len(b), hello, host, need)
		}
		last = need
	}
	t.Fatalf("%d bytes do not suffice", len(b))
}

// extension returns an extension of a ClientHello.
func extension(kind uint16, data string) string {
	return string([]byte{byte(kind >> 8), byte(kind), byte(len(data) >> 8), byte(len(data))}) + data
}

// hello returns a ClientHello in a record, with this legacy version and these extensions.
func hello(legacy uint16, extensions ...string) []byte {
	all := strings.Join(extensions, "")
	body := string([]byte{byte(legacy >> 8), byte(legacy)}) + strings.Repeat("r", 32) + "\x00" + "\x00\x02\x13\x01" + "\x01\x00"
	if len(extensions) > 0 {
		body += string([]byte{byte(len(all) >> 8), byte(len(all))}) + all
	}
	n := len(body)
	return records([]byte("\x01"+string([]byte{byte(n >> 16), byte(n >> 8), byte(n)})+body), 1<<14)
}

func TestClientHelloByHand(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	sni := func(s string) string {
		n := len(s)
		return extension(0, string([]byte{byte((n + 3) >> 8), byte(n + 3), 0, byte(n >> 8), byte(n)})+s)
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want *flow.Hello
	}{
		{"without extensions", hello(0x0301), &flow.Hello{Version: "1.0"}},
		{"SSL 3.0", hello(0x0300), &flow.Hello{Version: "SSL 3.0"}},
		{"in a record of version 0", append([]byte{22, 0, 0}, hello(0x0303, sni("a"))[3:]...), &flow.Hello{Version: "1.2", SNI: "a"}},
		{"1.3 only by supported_versions", hello(0x0304, sni("a")), &flow.Hello{Version: "1.2", SNI: "a"}},
		{"GREASE", hello(0x0303, extension(0x1a1a, ""), extension(43, "\x08\x7a\x7a\x03\x03\x03\x04\x03\x02"),
			extension(16, "\x00\x06\x02\xaa\xaa\x02h2"), extension(0x2a2a, "\x00")), &flow.Hello{Version: "1.3", ALPN: []string{"h2"}}},
		{"draft of 1.3", hello(0x0303, extension(43, "\x04\x7f\x1c\x7f\x17")), &flow.Hello{Version: "0x7f1c"}},
		{"draft and GREASE", hello(0x0303, extension(43, "\x04\xfa\xfa\x7f\x1c")), &flow.Hello{Version: "0x7f1c"}},
		{"draft and 1.2", hello(0x0303, extension(43, "\x04\x7f\x1c\x03\x03")), &flow.Hello{Version: "1.2"}},
		{"final dot and capitals", hello(0x0303, sni("WWW.Example.")), &flow.Hello{Version: "1.2", SNI: "www.example"}},
		{"hostile name", hello(0x0303, sni("a\x1b[31m\n\xffb \\")), &flow.Hello{Version: "1.2", SNI: `a\027[31m\010\255b\032\\`}},
		{"hostile ALPN", hello(0x0303, extension(16, "\x00\x04\x03\x1b\x00x")), &flow.Hello{Version: "1.2", ALPN: []string{`\027\000x`}}},
		{"long name", hello(0x0303, sni(long)), &flow.Hello{Version: "1.2", SNI: long[:255] + "..."}},
		{"name of another type", hello(0x0303, extension(0, "\x00\x04\x01\x00\x01a")), &flow.Hello{Version: "1.2"}},
		{
			"malformed extensions", hello(0x0303, extension(0, "\x00\x09\x00\x00\x20a"), extension(16, "\x00"), extension(43, "\x03\x03"), extension(0xfe0d, "")),
			&flow.Hello{Version: "1.2"},
		},
		{"ECH outer", hello(0x0303, extension(0xfe0d, "\x00\x00\x01\x00\x01\x07\x00\x00")), &flow.Hello{Version: "1.2", ECH: true}},
		{"ECH inner", hello(0x0303, extension(0xfe0d, "\x01")), &flow.Hello{Version: "1.2"}},
		{
			"100 protocols", hello(0x0303, extension(16, "\x00\xc8"+strings.Repeat("\x01x", 100))),
			&flow.Hello{Version: "1.2", ALPN: slices.Repeat([]string{"x"}, 16)},
		},
		{
			"protocols of 255 bytes", hello(0x0303, extension(16, "\x10\x00"+strings.Repeat("\xff"+strings.Repeat("x", 255), 16))),
			&flow.Hello{Version: "1.2", ALPN: slices.Repeat([]string{strings.Repeat("x", 255)}, 3)},
		},
		{"extension beyond the hello", hello(0x0303, extension(0, "\x00")[:3]), nil},
	} {
		got, host, need := inspect.Client(tt.b)
		if diff := cmp.Diff(tt.want, got); diff != "" || host != "" || need != 0 {
			t.Errorf("%s: host %q, need %d\n%s", tt.name, host, need, diff)
		}
		checkPrefixes(t, tt.b, tt.want, "")
	}
}

func TestNoClientHello(t *testing.T) {
	for name, b := range map[string][]byte{
		"ServerHello":      {22, 3, 3, 0, 4, 2, 0, 0, 80},
		"warning of 3":     {21, 3, 1, 0, 3},
		"record of 16385":  {22, 3, 1, 64, 1, 1},
		"another version":  {22, 16},
		"hello of 1 MiB":   {22, 3, 1, 64, 0, 1, 16, 0, 0},
		"hello of 16 KiB":  {22, 3, 1, 64, 0, 1, 0, 64, 0},
		"behind an alert":  {21, 3, 1, 0, 2, 1, 0, 24},
		"other record":     append(slices.Clone(hello(0x0303)[:5+20]), 0)[:26],
		"application data": {23, 3, 3, 0, 20, 1},
		"binary":           {0xff, 0xfe},
		"zeros":            make([]byte, 100),
	} {
		if name == "other record" { // one that interrupts the hello
			b = append(records(hello(0x0303)[5:25], 20), 23, 3, 3, 0, 3, 0)
		}
		if h, host, need := inspect.Client(b); h != nil || host != "" || need != 0 {
			t.Errorf("%s: %v %q, need %d", name, h, host, need)
		}
		if n := testing.AllocsPerRun(10, func() { inspect.Client(b) }); n > 0 && name != "other record" {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzClient checks that no bytes hurt, and that the bytes that Client needs are those that it
// names.
func FuzzClient(f *testing.F) {
	whole := inspecttest.TLSHello(f, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}})
	f.Add(whole)
	f.Add(records(whole[5:], 100))
	f.Add(hello(0x0303, extension(43, "\x08\x7a\x7a\x03\x03\x03\x04\x03\x02"), extension(0xfe0d, "\x00")))
	f.Add([]byte("GET http://u:p@[2001:db8::1]:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("\r\nCONNECT a.example:443 HTTP/1.1\r\n"))
	f.Add([]byte("0 ://0\x1f HTTP/1.0\n"))
	f.Add([]byte("POST / HTTP/1.0\nAccept: */*\nhost:A.Example\n\n"))
	f.Add(append([]byte{0, 0, 0, 8, 4, 210, 22, 47}, whole...))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), inspect.MaxClient)]
		before := bytes.Clone(b)
		wantHello, wantHost, wantNeed := inspect.Client(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the bytes have changed")
		}
		if wantHello != nil {
			checkText(t, wantHello.SNI+strings.Join(wantHello.ALPN, ""))
		}
		checkText(t, wantHost)
		if wantNeed != 0 && (wantNeed <= len(b) || wantNeed > inspect.MaxClient || wantHello != nil || wantHost != "") {
			t.Fatalf("%v %q, need %d of %d", wantHello, wantHost, wantNeed, len(b))
		}
		// As a connection that brings its bytes in two pieces.
		for _, n := range []int{1, 4, 6, 9, len(b) / 3, len(b) / 2, len(b) - 1} {
			if n < 0 || n > len(b) {
				continue
			}
			hello, host, need := inspect.Client(b[:n])
			if need > len(b) && (wantHello != nil || wantHost != "") {
				t.Fatalf("%d bytes need %d, but %d say all", n, need, len(b))
			}
			if need == 0 && (host != wantHost || !cmp.Equal(hello, wantHello)) && len(b) < inspect.MaxClient {
				t.Fatalf("%d bytes say %v %q, %d say %v %q", n, hello, host, len(b), wantHello, wantHost)
			}
		}
	})
}
