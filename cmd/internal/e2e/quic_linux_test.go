package e2e_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/quic"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestQUICRecords has clients of golang.org/x/net/quic talk to a server of it. The record that
// comes before the first datagram has the ClientHello where it stands in one datagram. With a key
// of ML-KEM it needs two: that record has it if both are there, the record of the end in any case.
func TestQUICRecords(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	serving := &quic.Config{TLSConfig: &tls.Config{Certificates: secure.TLS.Certificates, NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13}, HandshakeTimeout: tuntest.Patience}
	r := run(t, lab.Router, "syntap0", everything)
	for _, tt := range []struct {
		host   string
		curves []tls.CurveID
	}{
		{"short.example.com", []tls.CurveID{tls.X25519}},
		{"long.example.com", nil},
	} {
		conn := listenDatagrams(t, lab.Server, net.JoinHostPort(tuntest.ServerAddr4, "443"))
		server, err := quic.NewEndpoint(conn, serving)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		ctx, cancel := timeout()
		go func() {
			defer close(served)
			if c, err := server.Accept(ctx); err == nil {
				if s, err := c.AcceptStream(ctx); err == nil {
					_, _ = io.Copy(s, s)
					_ = s.Close()
				}
				_ = c.Wait(ctx)
			}
		}()
		client, err := quic.NewEndpoint(listenDatagrams(t, lab.Router, "0.0.0.0:0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Dial(ctx, "udp4", conn.LocalAddr().String(), &quic.Config{TLSConfig: &tls.Config{
			ServerName: tt.host, NextProtos: []string{"h3"}, CurvePreferences: tt.curves,
			MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
		}, HandshakeTimeout: tuntest.Patience})
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.NewStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(s, "hello")
		_ = s.Flush()
		s.CloseWrite()
		if b, err := io.ReadAll(s); string(b) != "hello" {
			t.Errorf("echo: %q, %v", b, err)
		}
		_ = c.Close()
		<-served
		_ = client.Close(ctx)
		_ = server.Close(ctx)
		cancel()
	}
	r.stop(t, unix.SIGTERM)
	type said struct {
		Msg     string
		QUIC    *struct{ Version, SNI string }
		SNI     string
		ALPN    []string
		Version string `json:"tls_version"`
		Outcome string
	}
	type version = struct{ Version, SNI string }
	var got []said
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var r said
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.Msg == "datagram" || r.Msg == "flow" {
			got = append(got, r)
		}
	}
	end := func(sni string) said {
		return said{Msg: "flow", SNI: sni, ALPN: []string{"h3"}, Version: "1.3", Outcome: "answered"}
	}
	want := []said{
		{Msg: "datagram", QUIC: &version{"1", "short.example.com"}},
		{Msg: "datagram", QUIC: &version{"1", ""}},
		end("short.example.com"),
		end("long.example.com"),
	}
	if len(got) > 1 && got[1].QUIC != nil && got[1].QUIC.SNI == "long.example.com" {
		got[1].QUIC.SNI = "" // both datagrams were there
	}
	if len(got) == len(want) && got[2].SNI == want[3].SNI { // both end with the router
		got[2], got[3] = got[3], got[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestStrictQUIC has clients of QUIC ask for the name by which they know the server, and for
// another, of which no datagram leaves.
func TestStrictQUIC(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq")
	lab := tuntest.NewLab(t)
	newNamed(t, lab)
	secure := httptest.NewTLSServer(nil)
	defer secure.Close()
	ctx, cancel := timeout()
	defer cancel()
	conn := listenDatagrams(t, lab.Server, addrOfWWW+":443")
	server, err := quic.NewEndpoint(conn, &quic.Config{TLSConfig: &tls.Config{
		Certificates: secure.TLS.Certificates, NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13,
	}})
	if err != nil {
		t.Fatal(err)
	}
	now, stop := context.WithCancel(ctx)
	stop()
	defer func() { _ = server.Close(now) }()
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "tap:", "egress: {strict: true}\ntap:", 1))
	if got := command(t, lab.Router, "dig", "+short", "@"+resolver, "www.example.com"); !strings.Contains(got.stdout, addrOfWWW) {
		t.Fatalf("dig: %+v", got)
	}
	for _, tt := range []struct {
		host     string
		patience time.Duration
		reaches  bool
	}{
		{"www.example.com", time.Minute, true},
		{"evil.example", time.Second, false},
	} {
		client, err := quic.NewEndpoint(listenDatagrams(t, lab.Router, "0.0.0.0:0"), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Dial(ctx, "udp4", conn.LocalAddr().String(), &quic.Config{
			HandshakeTimeout: tt.patience,
			TLSConfig: &tls.Config{
				ServerName: tt.host, NextProtos: []string{"h3"}, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true,
			},
		})
		if tt.reaches != (err == nil) {
			t.Errorf("%s: %v", tt.host, err)
		}
		if err == nil {
			c.Abort(nil)
		}
		_ = client.Close(now) // without a wait for the far end
	}
	r.stop(t, unix.SIGTERM)
	sent := make(map[string]uint64)
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var f struct {
			Msg, SNI string
			Conflict bool   `json:"name_conflict"`
			Packets  uint64 `json:"outbound_packets"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		if f.Msg == "flow" && f.SNI != "" {
			sent[f.SNI] = f.Packets
			if f.Conflict != (f.SNI == "evil.example") {
				t.Errorf("record %s", line)
			}
		}
	}
	if n, ok := sent["evil.example"]; !ok || n > 0 || sent["www.example.com"] == 0 {
		t.Errorf("datagrams by name: %v", sent)
	}
}

// quicInitial returns the first datagram of a QUIC client that asks for a name: all of its
// ClientHello.
func quicInitial(t *testing.T, name string) []byte {
	t.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client, err := quic.Listen("udp4", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := timeout()
	dialled := make(chan struct{})
	go func() {
		defer close(dialled)
		_, _ = client.Dial(ctx, "udp4", server.LocalAddr().String(), &quic.Config{TLSConfig: &tls.Config{
			ServerName: name, NextProtos: []string{"h3"}, CurvePreferences: []tls.CurveID{tls.X25519},
			MinVersion: tls.VersionTLS13,
		}, HandshakeTimeout: tuntest.Patience})
	}()
	defer func() {
		cancel()
		<-dialled
		_ = client.Close(ctx)
	}()
	b := make([]byte, 1<<16)
	_ = server.SetReadDeadline(time.Now().Add(tuntest.Patience))
	n, _, err := server.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}
