//go:build linux

package stack

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/stack/dial"
	"syntap/stack/inspect"
	"syntap/stack/inspect/inspecttest"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// The flow has what the client's first bytes say, in however many pieces they come.
func TestFirstBytes(t *testing.T) {
	hello := inspecttest.TLSHello(t, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}})
	said := &tunflow.Hello{Version: "1.3", SNI: "www.example.com", ALPN: []string{"h2"}}
	request := []byte("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
	for _, tt := range []struct {
		name  string
		bytes []byte
		cuts  []int // where a piece ends; the next goes when the server has the last
		hello *tunflow.Hello
		host  string
	}{
		{"TLS", hello, nil, said, ""},
		{"TLS in two pieces", hello, []int{200}, said, ""},
		{"TLS in many pieces", hello, []int{1, 2, 5, 6, 9, 100, len(hello) - 1}, said, ""},
		{"TLS and bulk", append(bytes.Clone(hello), make([]byte, 1<<20)...), []int{300}, said, ""},
		{"TLS cut short", hello[:300], nil, nil, ""},
		{"HTTP", request, nil, nil, "www.example.com"},
		{"HTTP in pieces", request, []int{1, 3, 16, 20, 30}, nil, "www.example.com"},
		{"HTTP with a late host", append([]byte("GET / HTTP/1.1\r\nX: "+strings.Repeat("x", inspect.MaxClient)+"\r\n"), request[16:]...), []int{100}, nil, ""},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), nil, nil, ""},
		{"nothing", nil, nil, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c); _ = c.CloseWrite() })
			ended := make(chan tunflow.Flow, 1)
			router := startRouter(t, Options{FlowDone: func(f tunflow.Flow) { ended <- f }}, dial.Policy{})
			c := newClient(t, router).dial(t, serverV4, port)
			sendPieces(t, c, tt.bytes, tt.cuts)
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			f := within(t, ended)
			if diff := cmp.Diff(tt.hello, f.Hello); diff != "" || f.HTTPHost != tt.host || f.DNS != nil {
				t.Errorf("host %q, DNS %v\n%s", f.HTTPHost, f.DNS, diff)
			}
			tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
			tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
		})
	}
}

// sendPieces writes b in pieces that end at the cuts. The server echoes: a piece follows when the
// last has come back.
func sendPieces(t *testing.T, c net.Conn, b []byte, cuts []int) {
	t.Helper()
	at := 0
	for _, cut := range append(cuts, len(b)) {
		piece := b[at:cut]
		at = cut
		echoed := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(c, make([]byte, len(piece)))
			echoed <- err
		}()
		if _, err := c.Write(piece); err != nil {
			t.Fatal(err)
		}
		if err := <-echoed; err != nil {
			t.Fatal(err)
		}
	}
}

// A client whose memory is used up is carried, and said nothing about. None of what it has sent
// stays charged.
func TestFirstBytesWithoutMemory(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c); _ = c.CloseWrite() })
	ended := make(chan tunflow.Flow, 1)
	router := startRouter(t, Options{FlowDone: func(f tunflow.Flow) { ended <- f }}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	hello := inspecttest.TLSHello(t, &tls.Config{ServerName: "www.example.com"})
	sendPieces(t, c, hello[:100], nil)
	router.memory.SetLimit(1)
	sendPieces(t, c, hello[100:], []int{200})
	router.memory.SetLimit(1 << 30)
	_ = c.Close()
	if f := within(t, ended); f.Hello != nil || f.Outbound != uint64(len(hello)) {
		t.Errorf("%v of %d bytes", f.Hello, f.Outbound)
	}
	tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
}
