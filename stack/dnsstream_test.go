//go:build linux

package stack

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// dnsMessage returns a query for an A record of a name or, with addresses, a response, behind its
// length.
func dnsMessage(t *testing.T, id uint16, name string, addresses ...string) []byte {
	t.Helper()
	n := dnsmessage.MustNewName(name)
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, Response: addresses != nil},
		Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	for _, a := range addresses {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()},
		})
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// startDNSRouter is a router whose port 53 of every server is a port of this machine.
func startDNSRouter(t *testing.T, o Options, port int) *testRouter {
	t.Helper()
	router, host := tuntest.NewPipe(1500)
	loopback := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
	s, err := New(router, dial.New(dial.Options{
		Redirect: func(netip.AddrPort) (netip.AddrPort, bool) { return loopback, true },
	}), o)
	if err != nil {
		t.Fatal(err)
	}
	return runRouter(t, s, host, func(run func() error) error { return run() })
}

// Queries and responses go on record, and each response is known before the client has it. The
// server answers each query, byte by byte. The client asks for one name after the other, or for all
// at once.
func TestDNSOverTCP(t *testing.T) {
	t.Run("one by one", func(t *testing.T) { testDNSOverTCP(t, false) })
	t.Run("pipelined", func(t *testing.T) { testDNSOverTCP(t, true) })
}

func testDNSOverTCP(t *testing.T, pipelined bool) {
	const queries = 20
	answers := make(map[string][]byte)
	for i := range queries {
		name := string(rune('a'+i)) + ".example."
		answers[name] = dnsMessage(t, uint16(i), name, "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5")
	}
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		for m, err := nextMessage(c); err == nil; m, err = nextMessage(c) {
			for _, b := range answers[m.Questions[0].Name.String()] {
				_, _ = c.Write([]byte{b})
			}
		}
	})
	ended := make(chan tunflow.Flow, 1)
	var answered atomic.Int32
	router := startDNSRouter(t, Options{
		FlowDone: func(f tunflow.Flow) { ended <- f },
		DNSAnswered: func(_ netip.AddrPort, _ tunflow.Opening, d *tunflow.DNS) {
			if len(d.Answers) == 5 && d.Answers[0].Data == "192.0.2.1" {
				answered.Add(1)
			}
		},
	}, port)
	c := newClient(t, router).dial(t, serverV4, 53)
	var all []byte
	for i := range queries {
		name := string(rune('a'+i)) + ".example."
		q := dnsMessage(t, uint16(i), name)
		pieces := [][]byte{q[:1], q[1:20], q[20:]}
		if all = append(all, q...); pipelined {
			pieces = nil
		}
		for _, piece := range pieces {
			if _, err := c.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if pipelined {
			continue
		}
		if _, err := io.ReadFull(c, make([]byte, len(answers[name]))); err != nil {
			t.Fatal(err)
		}
		if n := answered.Load(); n != int32(i+1) {
			t.Fatalf("the client has answer %d, and %d are known", i+1, n)
		}
	}
	if pipelined {
		if _, err := c.Write(all); err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			if _, err := io.ReadFull(c, make([]byte, len(a))); err != nil {
				t.Fatal(err)
			}
		}
		if n := answered.Load(); n != queries {
			t.Errorf("%d answers are known", n)
		}
	}
	_ = c.Close()
	f := within(t, ended)
	want := &tunflow.DNS{Response: true}
	for i := range 16 {
		want.Queries = append(want.Queries, tunflow.Question{Name: string(rune('a'+i)) + ".example", Type: 1})
		for j := range 5 {
			a := tunflow.Record{Name: want.Queries[i].Name, Type: 1, TTL: 60, Data: "192.0.2." + string(rune('1'+j))}
			if len(want.Answers) < 64 {
				want.Answers = append(want.Answers, a)
			}
		}
	}
	if diff := cmp.Diff(want, f.DNS); diff != "" || f.Hello != nil || f.HTTPHost != "" {
		t.Errorf("hello %v, host %q\n%s", f.Hello, f.HTTPHost, diff)
	}
	tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
	tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
}

// A response counts only if it answers a query of the connection: else any server at port 53 could
// give addresses names.
func TestUnaskedDNSAnswers(t *testing.T) {
	query := dnsMessage(t, 7, "a.example.")
	said := [][]byte{
		dnsMessage(t, 7, "b.example.", "192.0.2.1"), // another name
		dnsMessage(t, 8, "a.example.", "192.0.2.2"), // another ID
		dnsMessage(t, 7, "a.example.", "192.0.2.3"),
		dnsMessage(t, 7, "a.example.", "192.0.2.4"), // again
	}
	port := serve(t, "tcp4", func(c *net.TCPConn) {
		if _, err := io.ReadFull(c, make([]byte, len(query))); err == nil {
			_, _ = c.Write(slices.Concat(said...))
		}
	})
	learned := make(chan string, 10)
	router := startDNSRouter(t, Options{
		DNSAnswered: func(_ netip.AddrPort, _ tunflow.Opening, d *tunflow.DNS) { learned <- d.Answers[0].Data },
	}, port)
	c := newClient(t, router).dial(t, serverV4, 53)
	if _, err := c.Write(query); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, slices.Concat(said...)) {
		t.Errorf("%d bytes came back, %v", len(b), err)
	}
	close(learned)
	var got []string
	for address := range learned {
		got = append(got, address)
	}
	if !slices.Equal(got, []string{"192.0.2.3"}) {
		t.Errorf("learned %v", got)
	}
}

// Another protocol on the port of DNS is carried like any other, and recorded as what it is.
func TestNoDNSOverTCP(t *testing.T) {
	for name, tt := range map[string]struct{ client, server, host string }{
		"HTTP":         {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "a.example"},
		"half a query": {"\x00\x40" + strings.Repeat("q", 30), "\x00\x40half", ""},
		"bytes":        {strings.Repeat("\x00\x05", 50000), strings.Repeat("\xff", 100000), ""},
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, "tcp4", func(c *net.TCPConn) {
				_, _ = io.Copy(io.Discard, c)
				_, _ = io.WriteString(c, tt.server)
			})
			ended := make(chan tunflow.Flow, 1)
			router := startDNSRouter(t, Options{FlowDone: func(f tunflow.Flow) { ended <- f }}, port)
			c := newClient(t, router).dial(t, serverV4, 53)
			if _, err := io.WriteString(c, tt.client); err != nil {
				t.Fatal(err)
			}
			_ = c.CloseWrite()
			if b, err := io.ReadAll(c); err != nil || string(b) != tt.server {
				t.Errorf("%d bytes came back, %v", len(b), err)
			}
			_ = c.Close()
			if f := within(t, ended); f.DNS != nil || f.HTTPHost != tt.host || f.Outbound != uint64(len(tt.client)) {
				t.Errorf("%+v", f)
			}
			tuntest.Wait(t, "no connection", func() bool { return router.stats.TCPFlows.Load() == 0 })
			tuntest.Wait(t, "no charge", func() bool { return router.memory.Charged() == 0 })
		})
	}
}
