package inspect_test

import (
	"crypto/tls"
	"testing"

	"syntap/stack/inspect"
	"syntap/stack/inspect/inspecttest"
)

func BenchmarkDNS(b *testing.B) {
	question := name("www.example.com") + questA
	for what, message := range map[string]string{
		"query":    header(query, 1, 0, 0, 1) + question + "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
		"response": header(response, 1, 2, 0, 1) + question + record(5, "\x03cdn\xc0\x10") + record(1, "\xc0\x00\x02\x01") + "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00",
		"no DNS":   "\x04\x00\x00\x00............................................",
	} {
		m := []byte(message)
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				inspect.DNS(m)
			}
		})
	}
}

func BenchmarkClient(b *testing.B) {
	whole := inspecttest.TLSHello(b, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2", "http/1.1"}})
	for what, m := range map[string][]byte{
		"TLS":       whole,
		"TLS split": records(whole[5:], 600),
		"TLS cut":   whole[:1000],
		"HTTP":      []byte("GET /index.html HTTP/1.1\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\nHost: www.example.com\r\n\r\n"),
		"SSH":       []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
		"binary":    make([]byte, 64<<10),
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				inspect.Client(m)
			}
		})
	}
}

func BenchmarkQUIC(b *testing.B) {
	v1 := readHex(b, "testdata/rfc9001-a2.hex")
	for what, m := range map[string][]byte{"Initial": v1, "other": append([]byte{0x40}, v1[1:]...)} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				inspect.QUIC(m)
			}
		})
	}
}
