package inspect_test

import (
	"bufio"
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"syntap/stack/inspect"
)

func TestHTTPHost(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: www.Example.com\r\n\r\n":                                 "www.example.com",
		"GET / HTTP/1.1\r\nAccept: */*\r\nhOsT:\t a.example:8080 \r\n":                    "a.example",
		"POST /x HTTP/1.0\nUser-Agent: x\nHost: a.example.\n\n":                           "a.example",
		"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n":                                       "a.example",
		"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:80\r\n":                                    "2001:db8::1",
		"GET http://Origin.example:8080/path?q HTTP/1.1\r\nHost: proxy.example\r\n\r\n":   "origin.example",
		"GET http://user:secret@origin.example HTTP/1.1\r\n":                              "origin.example",
		"GET http://[2001:db8::1]/?@x HTTP/1.1\r\n":                                       "2001:db8::1",
		"OPTIONS ws://a.example#x HTTP/1.1\r\n":                                           "a.example",
		"CONNECT a.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n":                       "a.example",
		"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n":                                          "2001:db8::1",
		"GET /?next=http://b.example/ HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n": "a.example",
		"M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n":                           "239.255.255.250",
		"GET /a b HTTP/1.1\r\nHost: a.example\r\n":                                        "a.example",
		"GET / HTTP/1.1\r\nHost: a\x1b[2J\r\n":                                            `a\027[2j`,
		"GET / HTTP/1.1\r\nHost:\r\n\r\n":                                                 "",
		"GET / HTTP/1.1\r\nho\u017ft: b.example\r\nHost: a.example\r\n":                   "a.example",
		"GET / HTTP/1.0\r\nX-Host: a\r\n\r\nHost: body.example\r\n":                       "",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                "",
		"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n":                                              "",
		"EHLO mail.example\r\nHost: a\r\n":                                                "",
		"GET /\r\n":                                                                       "",
		"*1\r\n$4\r\nPING\r\n":                                                            "",
		"a001 LOGIN x y\r\n":                                                              "",
		strings.Repeat("X", 33) + " / HTTP/1.1\r\nHost: a\r\n":                            "",
		"003egit-upload-pack /p.git\x00host=a\x00":                                        "",
		"0 \x02\x01\x01cn=a":                                                              "",
		"GET http://a\x1f HTTP/1.0\n":                                                     "",
		"(binary)":                                                                        "",
	} {
		checkPrefixes(t, []byte(request), nil, want)
		said := inspect.Strict([]byte(request + "\r\n\r\n"))
		if want != "" && said.Host != want || said.Unclear != strings.Contains(request, "@origin") {
			t.Errorf("%q, read strictly: %+v", request, said)
		}
	}
}

// A request whose host comes too late says none, and not more is kept for it than MaxClient.
func TestLateHost(t *testing.T) {
	t.Parallel()
	b := []byte("GET / HTTP/1.1\r\nCookie: " + strings.Repeat("c", inspect.MaxClient) + "\r\nHost: a\r\n")
	if _, _, need := inspect.Client(b[:inspect.MaxClient-1]); need != inspect.MaxClient {
		t.Errorf("need %d", need)
	}
	if hello, host, need := inspect.Client(b[:inspect.MaxClient]); hello != nil || host != "" || need != 0 {
		t.Errorf("%v %q, need %d", hello, host, need)
	}
	if said := inspect.Strict(b[:inspect.MaxClient]); said.Host != "" || said.Need <= inspect.MaxClient {
		t.Errorf("read strictly: %+v", said)
	}
}

// PostgreSQL asks for TLS, or for GSSAPI and then for TLS.
func TestPostgres(t *testing.T) {
	t.Parallel()
	tls, gss := "\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x00\x00\x00\x08\x04\xd2\x16\x30"
	h := hello(0x0303, extension(0, "\x00\x0a\x00\x00\x07a.local"))
	want, _, _ := inspect.Client(h)
	checkPrefixes(t, append([]byte(tls), h...), want, "")
	checkPrefixes(t, append([]byte(gss+tls), h...), want, "")
	checkPrefixes(t, []byte("\x00\x00\x00\x54\x00\x03\x00\x00user\x00me"), nil, "")
}

// FuzzHTTPHost compares with net/http wherever that can read a request. Where a host has other
// characters than a name the two may differ: net/http refuses some, and takes others.
func FuzzHTTPHost(f *testing.F) {
	f.Add("GET", "/x", "www.example.com")
	f.Add("GET", "http://Origin.example:8080/path?q", "a.example:80")
	f.Add("CONNECT", "a.example:443", "")
	f.Add("GET", "//b.example/", "a.example.")
	plain := regexp.MustCompile(`^[A-Za-z0-9./:-]*$`)
	f.Fuzz(func(t *testing.T, method, target, host string) {
		b := []byte(method + " " + target + " HTTP/1.1\r\nAccept: */*\r\nHost: " + host + "\r\n\r\n")
		if !plain.MatchString(target) || !plain.MatchString(host) || len(method) > 32 || len(b) > inspect.MaxClient {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || r.Host == "" || r.Host[0] == ':' || len(r.Host) > 255 {
			return
		}
		want, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
		if len(want) > 1 {
			want = strings.TrimSuffix(want, ".")
		}
		if hello, got, need := inspect.Client(b); hello != nil || got != want || need != 0 {
			t.Errorf("%q: %v %q, need %d; net/http says %q", b, hello, got, need, r.Host)
		}
	})
}
