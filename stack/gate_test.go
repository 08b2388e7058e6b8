//go:build linux

package stack

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/dial"
	"syntap/stack/egress"
	"syntap/stack/gate"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// startRuled is a router whose rules decide on names; good.example alone is allowed.
// full is closed when as many responses as there may be wait behind one of the server.
func startRuled(t *testing.T, full chan struct{}, o Options) *testRouter {
	t.Helper()
	questions := 0
	router, host := tuntest.NewPipe(1500)
	ruling := &egress.Ruling{Decision: &tunflow.Decision{}, Names: true}
	o.Question = func(
		_ tunflow.Proto, _, _ netip.AddrPort, _ tunflow.Opening, q *tunflow.DNS,
	) *tunflow.Decision {
		if questions++; questions == 1+gate.MaxResponses+1 {
			close(full)
		}
		return &tunflow.Decision{Deny: q.Queries[0].Name != "good.example"}
	}
	s, err := New(router, dial.New(dial.Options{
		Rules: func(dial.Flow) *egress.Ruling { return ruling },
		Redirect: func(dst netip.AddrPort) (netip.AddrPort, bool) {
			return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), toPort), true
		},
	}), o)
	if err != nil {
		t.Fatal(err)
	}
	return runRouter(t, s, host, func(run func() error) error { return run() })
}

// toPort is where the router of startRuled leads every connection.
var toPort uint16

// TestForbiddenQueries has a client ask by TCP for a name that is allowed and others, in pieces and
// all at once. The server sees the allowed ones; the others have their responses between its own.
func TestForbiddenQueries(t *testing.T) {
	var all []byte
	names := []string{"good.example."}
	for range 3 * gate.MaxResponses {
		names = append(names, "bad.example.")
	}
	names = append(names, "good.example.", "bad.example.", "good.example.")
	for i, name := range names {
		all = append(all, dnsMessage(t, uint16(i), name)...)
	}
	for _, tt := range []struct {
		name string
		cuts []int
	}{{"at once", nil}, {"in pieces", []int{1, 2, 20, 31, 32, 33, 70, len(all) - 1}}} {
		t.Run(tt.name, func(t *testing.T) {
			asked, full := make(chan string, len(names)), make(chan struct{})
			toPort = uint16(serve(t, "tcp4", func(c *net.TCPConn) { answerQueries(t, c, asked, full) }))
			c := newClient(t, startRuled(t, full, Options{})).dial(t, serverV4, 53)
			go writePieces(c, all, tt.cuts)
			codes := make(map[uint16]dnsmessage.RCode)
			for range names {
				m, err := nextMessage(c)
				if err != nil {
					t.Fatal(err)
				}
				codes[m.ID] = m.RCode
			}
			for i, name := range names {
				want := dnsmessage.RCodeSuccess
				if name == "bad.example." {
					want = dnsmessage.RCodeNameError
				}
				if codes[uint16(i)] != want {
					t.Errorf("query %d, %s: %v, want %v", i, name, codes[uint16(i)], want)
				}
			}
			for range 3 {
				if got := <-asked; got != "good.example." {
					t.Errorf("the server was asked for %s", got)
				}
			}
			if len(asked) > 0 {
				t.Error("the server was asked for more")
			}
			_ = c.Close()
		})
	}
}

// writePieces writes b, cut in pieces, as long as the connection takes them.
func writePieces(c io.Writer, b []byte, cuts []int) {
	at := 0
	for _, cut := range append(cuts, len(b)) {
		if _, err := c.Write(b[at:cut]); err != nil {
			return
		}
		at = cut
	}
}

// answerQueries answers each query, byte by byte, until the client closes. Behind its first byte it
// waits for full.
func answerQueries(t *testing.T, c *net.TCPConn, asked chan<- string, full <-chan struct{}) {
	for m, err := nextMessage(c); err == nil; m, err = nextMessage(c) {
		asked <- m.Questions[0].Name.String()
		for _, b := range dnsMessage(t, m.ID, m.Questions[0].Name.String(), "192.0.2.1") {
			_, _ = c.Write([]byte{b})
			<-full
		}
	}
}

// nextMessage reads a DNS message from a stream.
func nextMessage(c io.Reader) (m dnsmessage.Message, err error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return m, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return m, err
	}
	return m, m.Unpack(b)
}

// TestNoQueries has clients send other things to port 53, of which no byte may pass.
func TestNoQueries(t *testing.T) {
	query := dnsMessage(t, 1, "good.example.")
	for name, b := range map[string][]byte{
		"SSH":         []byte("SSH-2.0-client\r\n"),
		"a response":  dnsMessage(t, 1, "good.example.", "192.0.2.1"),
		"cut short":   query[:len(query)-1],
		"long":        append([]byte{4, 0}, make([]byte, 1024)...),
		"behind none": append([]byte{0, 0}, query...),
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 1)
			toPort = uint16(serve(t, "tcp4", func(c *net.TCPConn) {
				b, _ := io.ReadAll(c)
				got <- b
			}))
			c := newClient(t, startRuled(t, nil, Options{})).dial(t, serverV4, 53)
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
			if name == "cut short" {
				_ = c.CloseWrite()
			}
			if _, err := io.ReadAll(c); err == nil {
				t.Error("the client is not reset")
			}
			if b := <-got; len(b) > 0 {
				t.Errorf("%q has passed", b)
			}
		})
	}
}

// TestQueryIsLate: a client that begins a query and does not end it is reset after a time.
func TestQueryIsLate(t *testing.T) {
	got := make(chan []byte, 1)
	toPort = uint16(serve(t, "tcp4", func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		got <- b
	}))
	c := newClient(t, startRuled(t, nil, Options{gateWithin: time.Millisecond})).dial(t, serverV4, 53)
	if _, err := c.Write(dnsMessage(t, 1, "good.example.")[:20]); err != nil {
		t.Fatal(err)
	}
	if b := within(t, got); len(b) > 0 {
		t.Errorf("%q has passed", b)
	}
	if _, err := io.ReadAll(c); err == nil {
		t.Error("the client is not reset")
	}
}

// TestForbiddenQueriesOfLostClient resets a client with more forbidden queries than may wait for
// their responses, of a server that stands still in the middle of a message: nothing stays.
func TestForbiddenQueriesOfLostClient(t *testing.T) {
	full := make(chan struct{})
	toPort = uint16(serve(t, "tcp4", func(c *net.TCPConn) {
		_, _ = c.Write([]byte{0, 100, 1})
		_, _ = io.Copy(io.Discard, c)
	}))
	router := startRuled(t, full, Options{})
	client := newClient(t, router)
	c := client.dial(t, serverV4, 53)
	if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	all := dnsMessage(t, 0, "good.example.")
	for range 2 * gate.MaxResponses {
		all = append(all, dnsMessage(t, 1, "bad.example.")...)
	}
	go writePieces(c, all, nil)
	within(t, full)
	client.reset()
	tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
}
