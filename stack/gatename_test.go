//go:build linux

package stack

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/stack/inspect"
	"syntap/stack/inspect/inspecttest"
	"syntap/stack/netstack"
	"syntap/stack/peek"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// TestContradictions has clients say names, of which good.example alone is that of the connection.
func TestContradictions(t *testing.T) {
	hello := func(name string) []byte { return inspecttest.TLSHello(t, &tls.Config{ServerName: name}) }
	request := func(host string) []byte { return []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n") }
	ssl := []byte{0, 0, 0, 8, 4, 210, 22, 47}
	const proxy = "PROXY UNKNOWN\r\n"
	late := "GET / HTTP/1.1\r\nCookie: " + strings.Repeat("c", inspect.MaxClient) + "\r\nHost: "
	for _, tt := range []struct {
		name   string
		bytes  []byte
		cuts   []int
		passes bool
	}{
		{"TLS", hello("good.example"), []int{1, 100}, true},
		{"another by TLS", hello("bad.example"), []int{1, 100}, false},
		{"another by TLS at once", hello("bad.example"), nil, false},
		{"HTTP", request("good.example"), []int{1, 20}, true},
		{"another by HTTP", request("bad.example"), []int{1, 20}, false},
		{"SSH", []byte("SSH-2.0-client\r\n"), nil, true},
		{"PostgreSQL", append(bytes.Clone(ssl), hello("good.example")...), nil, true},
		{"PostgreSQL in pieces", append(bytes.Clone(ssl), hello("good.example")...), []int{1, 100}, true},
		{"another by PostgreSQL", append(bytes.Clone(ssl), hello("bad.example")...), []int{1, 100}, false},
		{"PROXY", append([]byte(proxy), hello("good.example")...), []int{8, len(proxy)}, true},
		{"another by PROXY", append([]byte(proxy), hello("bad.example")...), []int{8}, false},
		{"another by PROXY at once", append([]byte(proxy), request("bad.example")...), nil, false},
		{"half a hello", hello("good.example")[:100], nil, false},
		{"nothing", nil, nil, true},
		{"a word without end", []byte("word"), []int{1, 3}, true},
		{"a request without end", request("good.example")[:34], nil, true},
		{"another without end", request("bad.example")[:33], nil, false},
		{"zeros", []byte{0, 0}, nil, true},
		{"a request with a space", []byte("GET / HTTP/1.1 \r\nHost: bad.example\r\n\r\n"), []int{1, 14}, false},
		{"another beside the target", []byte("GET http://good.example/ HTTP/1.1\r\nHost: bad.example\r\n\r\n"), []int{40}, false},
		{"another target", []byte("GET http://bad.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n"), nil, false},
		{"target and host", []byte("GET http://good.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n"), []int{40}, true},
		{"a warning before TLS", append([]byte{21, 3, 1, 0, 2, 1, 100}, hello("bad.example")...), []int{7}, false},
		{"another in a record of version 0", append([]byte{22, 0, 0}, hello("bad.example")[3:]...), []int{5, 9}, false},
		{"LDAP", []byte("0 \x02\x01\x01cn=a"), []int{2}, true},
		{"a host behind 16 KiB", []byte(late + "bad.example\r\n\r\n"), []int{9000}, false},
		{"a host behind 16 KiB at once", []byte(late + "bad.example\r\n\r\n"), nil, false},
		{"a host before 16 KiB", append(request("good.example")[:36], late[16:len(late)-6]...), []int{9000}, true},
		{"a ClientHello of 17 KiB", []byte{22, 3, 1, 64, 0, 1, 0, 68, 0, 3, 3}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c); _ = c.CloseWrite() })
			contradicts := func(f *tunflow.Flow) bool {
				return f.HTTPHost == "bad.example" || f.Hello != nil && f.Hello.SNI == "bad.example"
			}
			router := startRouter(t, Options{Contradicts: contradicts}, dial.Policy{})
			c := newClient(t, router).dial(t, serverV4, port)
			if bytes.HasPrefix(tt.bytes, ssl) { // waits for an answer
				_, _ = c.Write(ssl)
				if _, err := io.ReadFull(c, make([]byte, len(ssl))); err != nil {
					t.Fatal(err)
				}
				tt.bytes = tt.bytes[len(ssl):]
			}
			writePieces(c, tt.bytes, tt.cuts)
			_ = c.CloseWrite()
			got, err := io.ReadAll(c)
			if tt.passes != (err == nil) || tt.passes && !bytes.Equal(got, tt.bytes) {
				t.Errorf("%d bytes of %d came back, %v", len(got), len(tt.bytes), err)
			}
			if !tt.passes && len(got) > 0 {
				t.Errorf("%d bytes have passed", len(got))
			}
		})
	}
}

// TestNotStrict: bytes that may become the beginning of an HTTP request pass at once where names
// need not agree.
func TestNotStrict(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	asked := func(*tunflow.Flow) bool { return true }
	lax := func(tunflow.Opening) bool { return false }
	router := startRouter(t, Options{Contradicts: asked, Strict: lax}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, 1)
	if _, err := io.ReadFull(c, got); err != nil || got[0] != 'x' {
		t.Errorf("read %q, %v, want x back", got, err)
	}
}

// TestFirstBytesAreLate: a client that begins with a few bytes and waits is reset after a time.
// One that has not begun is not.
func TestFirstBytesAreLate(t *testing.T) {
	got := make(chan []byte, 2)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		got <- b
	})
	never := func(*tunflow.Flow) bool { return false }
	router := startRouter(t, Options{Contradicts: never, gateWithin: time.Millisecond}, dial.Policy{})
	client := newClient(t, router)
	quiet, waiting := client.dial(t, serverV4, port), client.dial(t, serverV4, port)
	if _, err := waiting.Write([]byte("GET / HT")); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(waiting); err == nil || len(b) > 0 {
		t.Errorf("the client has read %q, %v, want a reset", b, err)
	}
	if b := <-got; len(b) > 0 {
		t.Errorf("%q has passed", b)
	}
	_, _ = quiet.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	_ = quiet.CloseWrite()
	if b := <-got; len(b) != 18 {
		t.Errorf("%q has come of a request", b)
	}
}

// TestServerSpeaksFirst: where the far side has spoken, a client's word does not wait for its end.
func TestServerSpeaksFirst(t *testing.T) {
	greet := make(chan struct{})
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		<-greet
		_, _ = c.Write([]byte("login: "))
		_, _ = io.Copy(c, c)
	})
	asked := func(f *tunflow.Flow) bool { return f.HTTPHost != "" }
	router := startRouter(t, Options{Contradicts: asked}, dial.Policy{})
	client := newClient(t, router)
	for _, before := range []bool{true, false} { // the client has begun when the server speaks
		c := client.dial(t, serverV4, port)
		if before {
			_, _ = c.Write([]byte("j"))
		}
		greet <- struct{}{}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		b := make([]byte, len("login: "))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "login: " {
			t.Fatalf("read %q, %v", b, err)
		}
		if !before {
			_, _ = c.Write([]byte("j"))
		}
		if _, err := io.ReadFull(c, b[:1]); err != nil || b[0] != 'j' {
			t.Errorf("read %q, %v, want the echo", b[:1], err)
		}
		_ = c.Close()
	}
}

// TestFirstBytesWhereMemoryIsShort: a ClientHello that takes several segments passes by a
// connection with tight buffers, too.
func TestFirstBytesWhereMemoryIsShort(t *testing.T) {
	port := serve(t, "tcp4", func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	never := func(*tunflow.Flow) bool { return false }
	router := startRouter(t, Options{Contradicts: never, Memory: 8 << 20}, dial.Policy{})
	client := newClient(t, router)
	isTight := func() bool {
		router.mu.Lock()
		defer router.mu.Unlock()
		for _, c := range router.conns {
			if c.memory.tight.Load() {
				return true
			}
		}
		return false
	}
	last := client.dial(t, serverV4, port)
	for i := 0; !isTight(); i++ {
		if last = client.dial(t, serverV4, port); i > 100 {
			t.Fatal("a hundred connections in 8 MiB have room")
		}
	}
	var long []string
	for i := range 20 {
		long = append(long, strings.Repeat(string(rune('a'+i)), 200))
	}
	hello := inspecttest.TLSHello(t, &tls.Config{ServerName: "good.example", NextProtos: long})
	go writePieces(last, hello, []int{1200, 2400, 3600})
	got := make([]byte, len(hello))
	if n, err := io.ReadFull(last, got); err != nil || !bytes.Equal(got, hello) {
		t.Errorf("%d bytes of %d came back, %v", n, len(hello), err)
	}
}

// TestFirstSegmentsWhereMemoryIsShort: a request in more segments than tight buffers take passes,
// on a connection that has had such buffers before, and on one that would get them meanwhile.
func TestFirstSegmentsWhereMemoryIsShort(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			got := make(chan []byte, 1)
			server := serve(t, "tcp4", func(c *net.TCPConn) {
				b, _ := io.ReadAll(c)
				got <- b
			})
			never := func(*tunflow.Flow) bool { return false }
			router := startRouter(t, Options{Contradicts: never, Memory: 8 << 20}, dial.Policy{})
			scarce := router.memory.Payer(netip.MustParseAddr("192.0.2.200"), false)
			defer router.memory.Leave(&scarce)
			const most = 6 << 20
			if before {
				scarce.Charge(most)
			}
			defer scarce.Charge(-most)
			client := router.byHand(netip.AddrPortFrom(clientV4, 4000), netip.AddrPortFrom(serverV4, uint16(server)), 1000)
			client.connect(t)
			c := router.established(t, client)
			segments := strings.SplitAfter("GET / HTTP/1.1\r\n"+strings.Repeat("X: a\r\n", 20)+"Host: a\r\n\r\n", "\n")
			for i, segment := range segments {
				if i == len(segments)/2 && !before {
					scarce.Charge(most)
					c.tighten() // as the inbound direction does, which rests
				}
				client.send(t, tuntest.ACK, []byte(segment)...)
				tuntest.Wait(t, "a segment to be taken", func() bool {
					at, _ := netstack.ProgressOf(c.ep)
					return at.RcvNxt == client.seq
				})
			}
			client.send(t, tuntest.ACK|tuntest.FIN)
			if b := within(t, got); string(b) != strings.Join(segments, "") {
				t.Errorf("%d bytes have come, %q", len(b), b)
			}
		})
	}
}

// TestManySegments: a request in more segments than a look takes does not end where the look does.
func TestManySegments(t *testing.T) {
	got := make(chan []byte, 1)
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		got <- b
	})
	asked := func(f *tunflow.Flow) bool { return f.HTTPHost != "" }
	router := startRouter(t, Options{Contradicts: asked}, dial.Policy{})
	c := newClient(t, router).dial(t, serverV4, port)
	held := func() (n int64) {
		router.mu.Lock()
		defer router.mu.Unlock()
		for _, c := range router.conns {
			if c.phase.Load() == established {
				n += netstack.ReceiveMemory(c.ep)
			}
		}
		return n
	}
	const size = 100 // a view of the frame's head, and one of its body
	request := "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", (peek.MaxViews/2+1)*size) + "\r\nHost: a\r\n\r\n"
	for at := 0; at < len(request); at += size {
		before := held()
		if _, err := io.WriteString(c, request[at:min(at+size, len(request))]); err != nil {
			break // it is reset
		}
		tuntest.Wait(t, "a segment", func() bool { n := held(); return n > before || n == 0 && at > 0 })
	}
	_ = c.CloseWrite()
	if b := within(t, got); len(b) > 0 {
		t.Errorf("%d bytes have passed", len(b))
	}
}
