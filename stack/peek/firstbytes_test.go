//go:build linux

package peek

import (
	"crypto/tls"
	"net/netip"
	"testing"

	"syntap/stack/budget"
	"syntap/stack/inspect/inspecttest"
)

// BenchmarkFirstBytes is the cost of a connection whose first bytes are in two views, as netstack
// has them: the end of the frame's head, and its body. Further writes cost a comparison.
func BenchmarkFirstBytes(b *testing.B) {
	hello := inspecttest.TLSHello(b, &tls.Config{
		ServerName: "www.example.com", NextProtos: []string{"h2", "http/1.1"},
	})
	request := []byte("GET /index.html HTTP/1.1\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n" +
		"Host: www.example.com\r\n\r\n")
	memory := budget.New(256 << 20)
	for name, bytes := range map[string][]byte{
		"TLS": hello, "TLS cut": hello[:1300], "HTTP": request,
		"SSH": []byte("SSH-2.0-OpenSSH_9.2p1\r\n"), "bulk": make([]byte, 64<<10),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var g Views
			g.Begin(1<<20, false)
			head := min(len(bytes), 76)
			_, _ = g.Write(bytes[:head])
			_, _ = g.Write(bytes[head:])
			payer := memory.Payer(netip.MustParseAddr("198.51.100.1"), false)
			for b.Loop() {
				first, _ := (*FirstBytes)(nil).Read(&g, len(bytes), &payer)
				first.End(&payer)
			}
		})
	}
}
