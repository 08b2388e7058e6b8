package inspect_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/quic"

	"syntap/stack/inspect"
	"syntap/stack/inspect/inspecttest"
	"syntap/tun/flow"
)

const (
	quicV1 = 1
	quicV2 = 0x6b3343cf
)

// helloOfRFC is the CRYPTO frame of RFC 9001 appendix A.2 and RFC 9369 appendix A.2.
const helloOfRFC = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868" +
	"04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a" +
	"00080006001d0017001800100007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fba" +
	"baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d001000 0e04030503060302030804" +
	"08050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff080110010480" +
	"0075300901100f088394c8f03e51570806048000ffff"

// TestRFCVectors has the client's Initial packets of RFC 9001 and RFC 9369, appendices A.2.
func TestRFCVectors(t *testing.T) {
	t.Parallel()
	frames, err := hex.DecodeString(strings.ReplaceAll(helloOfRFC, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file, version string
		number        uint32
	}{
		{"testdata/rfc9001-a2.hex", "1", quicV1},
		{"testdata/rfc9369-a2.hex", "2", quicV2},
	} {
		b := readHex(t, tt.file)
		q, more := inspect.QUIC(b)
		want := &flow.QUIC{Version: tt.version, Hello: &flow.Hello{Version: "1.3", SNI: "example.com", ALPN: []string{"alpn"}}}
		if diff := cmp.Diff(want, q); diff != "" || more != nil {
			t.Errorf("%s: more %v\n%s", tt.file, more, diff)
		}
		// The encoder of the other tests is right.
		made := initial{version: tt.number, dcid: "\x83\x94\xc8\xf0\x3e\x51\x57\x08", number: 2, frames: padded(string(frames))}
		if diff := cmp.Diff(b, made.bytes(t)); diff != "" {
			t.Errorf("%s: made another packet", tt.file)
		}
	}
}

// dialQUIC returns the first datagrams of a client of golang.org/x/net/quic, at least n.
func dialQUIC(t *testing.T, config *tls.Config, n int) (datagrams [][]byte) {
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = client.Dial(ctx, "udp4", server.LocalAddr().String(), &quic.Config{TLSConfig: config})
	}()
	defer func() {
		cancel()
		<-ended
		_ = client.Close(ctx)
	}()
	_ = server.SetReadDeadline(time.Now().Add(time.Minute))
	for len(datagrams) < n {
		b := make([]byte, 2048)
		size, _, err := server.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		datagrams = append(datagrams, b[:size])
	}
	return datagrams
}

// A ClientHello with a key of ML-KEM needs two datagrams, which may be swapped on their way.
func TestRealQUIC(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config *tls.Config
		n      int
		want   flow.Hello
	}{
		{
			"short", &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, 1,
			flow.Hello{Version: "1.3", SNI: "a.example", ALPN: []string{"h3"}},
		},
		{
			"long", &tls.Config{}, 2,
			flow.Hello{Version: "1.3", SNI: "a.example", ALPN: []string{"h3"}},
		},
		{
			"ECH", &tls.Config{EncryptedClientHelloConfigList: inspecttest.ECHConfigs(t, "public.example")}, 2,
			flow.Hello{Version: "1.3", SNI: "public.example", ALPN: []string{"h3"}, ECH: true},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.config.ServerName, tt.config.NextProtos = "a.example", []string{"h3"}
			tt.config.MinVersion = tls.VersionTLS13
			datagrams := dialQUIC(t, tt.config, tt.n)
			check := func(datagrams ...[]byte) {
				t.Helper()
				q, more := inspect.QUIC(datagrams[0])
				if q == nil || q.Version != "1" {
					t.Fatalf("%+v", q)
				}
				hello := q.Hello
				for _, d := range datagrams[1:] {
					if more == nil {
						t.Fatalf("the ClientHello %v needs no more", hello)
					}
					var wants bool
					if hello, wants = more.Add(d); wants != (hello == nil) {
						t.Fatalf("%v, wants more: %v", hello, wants)
					}
				}
				if diff := cmp.Diff(&tt.want, hello); diff != "" {
					t.Error(diff)
				}
			}
			check(datagrams...)
			if tt.n == 2 {
				check(datagrams[1], datagrams[0])
			}
		})
	}
}

func TestInitials(t *testing.T) {
	t.Parallel()
	h := string(hello(0x0303, extension(43, "\x02\x03\x04"), extension(0, "\x00\x0a\x00\x00\x07a.local"))[5:])
	want := &flow.Hello{Version: "1.3", SNI: "a.local"}
	const cid, ack = "destination", "\x02\x05\x00\x01\x00\x00\x00"
	v1 := func(frames string) initial { return initial{version: quicV1, dcid: cid, frames: frames} }
	zeroRTT := "\xd0\x00\x00\x00\x01\x0bdestination\x00\x40\x20" + strings.Repeat("z", 32)
	type packets []initial
	for _, tt := range []struct {
		name      string
		datagrams []packets
		prefix    string // of each datagram
		want      *flow.Hello
	}{
		{"frames out of order", []packets{{v1(padded("\x01" + crypto(40, h[40:]) + ack + crypto(0, h[:20]) + "\x00\x00" + crypto(20, h[20:40])))}}, "", want},
		{"frames that overlap", []packets{{v1(padded(crypto(10, h[10:]) + crypto(0, h[:30])))}}, "", want},
		{"frames that contradict", []packets{{v1(padded(crypto(0, h[:30]) + crypto(10, strings.ToUpper(h[10:]))))}}, "", nil},
		{"no fixed bit", []packets{{{version: quicV1, dcid: cid, frames: padded(crypto(0, h)), greased: true}}}, "", want},
		{"coalesced packets", []packets{{v1(crypto(0, h[:30])), v1(padded(crypto(30, h[30:]))[:1000])}}, "", want},
		{"behind 0-RTT", []packets{{v1(padded(crypto(0, h)))}}, zeroRTT, want},
		{"ACK with ECN", []packets{{v1(padded("\x03\x05\x00\x00\x00\x01\x02\x03" + crypto(0, h)))}}, "", want},
		{"three datagrams", []packets{{v1(padded(crypto(50, h[50:])))}, {v1(padded("\x01"))}, {v1(padded(crypto(0, h[:50])))}}, "", want},
		{"connection ID of the server", []packets{
			{v1(padded(crypto(0, h[:50])))},
			{{version: quicV1, dcid: "server", keys: cid, frames: padded(crypto(50, h[50:]))}},
		}, "", want},
		{"after Retry", []packets{
			{v1(padded(crypto(0, h[:50])))},
			{{version: quicV1, dcid: "retry", token: "token", frames: padded(crypto(0, h))}},
		}, "", want},
		{"after version negotiation", []packets{
			{v1(padded(crypto(0, strings.ToUpper(h[:50]))))},
			{{version: quicV2, dcid: cid, frames: padded(crypto(0, h))}},
		}, "", want},
		{"another's packet in between", []packets{
			{v1(padded(crypto(0, h[:50])))},
			{{version: quicV1, dcid: cid, keys: "other", frames: padded(crypto(50, strings.ToUpper(h[50:])))}},
			{v1(padded(crypto(50, h[50:])))},
		}, "", want},
		{"close in front", []packets{{v1(padded("\x1c\x00\x00\x00" + crypto(0, h)))}}, "", nil},
		{"beyond 16 KiB", []packets{{v1(padded("\x06\x80\x00\x40\x00\x01x" + crypto(0, h)))}}, "", nil},
		{"frame beyond the packet", []packets{{v1(crypto(0, h) + "\x06\x80\x00\x00")}}, "", want},
		{"ServerHello", []packets{{v1(padded(crypto(0, "\x02"+h[1:])))}}, "", nil},
	} {
		var hello *flow.Hello
		var more *inspect.Initials
		for i, all := range tt.datagrams {
			datagram := []byte(tt.prefix)
			for _, p := range all {
				datagram = append(datagram, p.bytes(t)...)
			}
			if i > 0 {
				if more == nil {
					t.Errorf("%s: no more after %d datagrams", tt.name, i)
					break
				}
				hello, _ = more.Add(datagram)
				continue
			}
			var q *flow.QUIC
			q, more = inspect.QUIC(datagram)
			if tt.prefix != "" {
				var i inspect.Initials
				hello, _ = i.Add(datagram)
				continue
			}
			if q == nil || q.Version != "1" {
				t.Errorf("%s: %+v", tt.name, q)
				break
			}
			hello = q.Hello
		}
		if diff := cmp.Diff(tt.want, hello); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// A client that says nothing in its Initial packets is given up.
func TestEndlessInitials(t *testing.T) {
	t.Parallel()
	b := initial{version: quicV1, dcid: "destination", frames: padded("\x01")}.bytes(t)
	_, more := inspect.QUIC(b)
	n := 1
	for ; more != nil; n++ {
		if n > 100 {
			t.Fatal("still wants more")
		}
		if _, wants := more.Add(b); !wants {
			break
		}
	}
	if size := more.Size(); size > 4<<10 {
		t.Errorf("%d bytes are kept", size)
	}
}

func TestQUICVersions(t *testing.T) {
	t.Parallel()
	b := readHex(t, "testdata/rfc9001-a2.hex")
	version := func(v uint32) []byte {
		b := append([]byte(nil), b...)
		binary.BigEndian.PutUint32(b[1:], v)
		return b
	}
	changed := append([]byte(nil), b...)
	changed[600] ^= 1
	for _, tt := range []struct {
		name string
		b    []byte
		want *flow.QUIC
	}{
		{"draft 29", version(0xff00001d), &flow.QUIC{Version: "0xff00001d"}},
		{"reserved", version(0x1a2a3a4a), &flow.QUIC{Version: "0x1a2a3a4a"}},
		{"not authentic", changed, &flow.QUIC{Version: "1"}},
		{"version negotiation", version(0), nil},
		{"1199 bytes of a draft", version(0xff00001d)[:1199], nil},
		{"cut", b[:1199], nil},
		{"header only", b[:18], nil},
		{"Handshake", append([]byte{0xe0}, b[1:]...), nil},
		{"Retry", append([]byte{0xf0}, b[1:]...), nil},
		{"short header", append([]byte{0x40}, b[1:]...), nil},
		{"RTP", append([]byte{0x80}, version(0x1a2a3a4a)[1:]...), nil},
		{"empty", nil, nil},
		{"connection ID of 21 bytes", append(append([]byte(nil), b[:5]...), append([]byte{21}, b[6:]...)...), nil},
	} {
		q, more := inspect.QUIC(tt.b)
		if diff := cmp.Diff(tt.want, q); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if q == nil && more != nil {
			t.Errorf("%s: wants more", tt.name)
		}
	}
}

func TestOtherDatagramsAllocateNothing(t *testing.T) {
	b := []byte(strings.Repeat("\x80\x00", 600))
	wire := []byte("\x04\x00\x00\x00" + strings.Repeat("w", 1400)) // WireGuard
	if n := testing.AllocsPerRun(10, func() { inspect.QUIC(b); inspect.QUIC(wire); inspect.QUIC(nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzQUIC reads what is in datagrams, and in packets that are authentic.
func FuzzQUIC(f *testing.F) {
	v1, v2 := readHex(f, "testdata/rfc9001-a2.hex"), readHex(f, "testdata/rfc9369-a2.hex")
	frames, _ := hex.DecodeString(strings.ReplaceAll(helloOfRFC, " ", ""))
	f.Add(v1, []byte{}, frames)
	f.Add(v2, v1, append([]byte("\x01\x02\x05\x00\x01\x00\x00\x00"), frames...))
	f.Add(v1[:100], v2[100:], []byte(crypto(40, "x")+crypto(0, "\x01\x00\x00\x08")))
	f.Fuzz(func(t *testing.T, a, b, frames []byte) {
		before := string(a)
		q, more := inspect.QUIC(a)
		if more != nil {
			more.Add(b)
		}
		if q != nil && q.Hello != nil {
			checkText(t, q.Hello.SNI+strings.Join(q.Hello.ALPN, ""))
		}
		var all inspect.Initials
		for _, d := range [][]byte{a, b, a} {
			if has, readable := inspect.HasInitial(d); has && readable {
				all.Follow(d)
			}
		}
		if string(a) != before {
			t.Error("the datagram has changed")
		}
		if n := len(frames); n < 20 || n > 2000 {
			return
		}
		_, more = inspect.QUIC(initial{version: quicV1, dcid: "destination", frames: string(frames)}.bytes(t))
		if more != nil {
			more.Add(b)
			if n := more.Size(); n > 48<<10 {
				t.Errorf("%d bytes are kept", n)
			}
		}
	})
}
