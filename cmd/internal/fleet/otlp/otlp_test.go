package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"syntap/cmd/internal/fleet"
)

var at = time.Date(2026, 11, 26, 7, 50, 0, 123456000, time.UTC)

func batch() *fleet.Batch {
	b := &fleet.Batch{LogID: fleet.LogID{Router: "gate", Log: "0123456789abcdef"}, Records: []fleet.Record{
		{Seq: 17, Time: at, Line: []byte(`{"seq":17}`)},
		{Seq: 18, Time: at.Add(time.Second), Line: []byte(`{"seq":18}`)},
		{Head: 18, Time: at, Line: []byte(`{"head":18}`)},
	}}
	for m, text := range [fleet.NumMembers]string{
		fleet.Msg: "handshake", fleet.Proto: "tcp", fleet.Outcome: "refused", fleet.Src: "192.0.2.1", fleet.Dst: "2001:db8::1",
		fleet.DPort: "80", fleet.Name: "bücher.example", fleet.Process: "curl", fleet.CommunityID: "1:x",
	} {
		b.Records[0].Members[m] = []byte(text)
	}
	b.Records[2].Members[fleet.Msg] = []byte("head")
	return b
}

func value(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func attributes(pairs ...string) (all []*common.KeyValue) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &common.KeyValue{Key: pairs[i], Value: value(pairs[i+1])})
	}
	return all
}

func request() *logs.LogsData {
	nano := uint64(at.UnixNano())
	return &logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{
		Resource: &resource.Resource{Attributes: attributes("service.name", "syntap", "router", "gate", "log", "0123456789abcdef")},
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{
			{TimeUnixNano: nano, Body: value(`{"seq":17}`), Attributes: attributes("seq", "17", "msg", "handshake", "proto", "tcp",
				"outcome", "refused", "src", "192.0.2.1", "dst", "2001:db8::1", "dport", "80", "name", "bücher.example",
				"process", "curl", "community_id", "1:x")},
			{TimeUnixNano: nano + 1e9, Body: value(`{"seq":18}`), Attributes: attributes("seq", "18")},
			{TimeUnixNano: nano, Body: value(`{"head":18}`), Attributes: attributes("head_seq", "18", "msg", "head")},
		}}},
	}}}
}

// A request says what a batch does, whatever was encoded before.
func TestEncode(t *testing.T) {
	t.Parallel()
	var e Encoder
	large := batch()
	for range 5 {
		large.Records = append(large.Records, large.Records...)
	}
	for _, b := range []*fleet.Batch{batch(), large, batch()} {
		err := e.Encode(b, func(body []byte) error {
			if len(b.Records) > 3 {
				return nil
			}
			got := new(logs.LogsData)
			err := proto.Unmarshal(body, got)
			if diff := cmp.Diff(request(), got, protocmp.Transform()); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	bad := batch()
	bad.Records[1].Line = []byte("\xff")
	var refused *fleet.Refused
	if err := e.Encode(bad, func([]byte) error { return nil }); !errors.As(err, &refused) {
		t.Errorf("a line that is no UTF-8: %v, want it refused", err)
	}
}

// server answers as a test says, and keeps the last request.
type server struct {
	*httptest.Server
	status  int
	answer  []byte
	header  http.Header
	request *http.Request
	body    []byte
}

func startServer(t *testing.T) *server {
	s := &server{status: http.StatusOK, header: make(http.Header)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.request = r
		s.body, _ = io.ReadAll(r.Body)
		maps.Copy(w.Header(), s.header)
		w.WriteHeader(s.status)
		_, _ = w.Write(s.answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// options names the server's certificate, and a token.
func (s *server) options(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	o := Options{URL: s.URL + "/in/front", CA: filepath.Join(dir, "ca.pem"), Token: filepath.Join(dir, "token")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := errors.Join(os.WriteFile(o.CA, ca, 0o600), os.WriteFile(o.Token, []byte("secret\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return o
}

// A receiver gets the batch, by TLS and with its token.
func TestReceiver(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, err := NewReceiver(s.options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Put(t.Context(), batch()); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(s.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	got := new(logs.LogsData)
	if err := errors.Join(err, proto.Unmarshal(body, got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(request(), got, protocmp.Transform()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	is := []string{
		s.request.Method, s.request.URL.Path, s.request.Header.Get("Authorization"),
		s.request.Header.Get("Content-Type"), s.request.Header.Get("Content-Encoding"),
	}
	want := []string{"POST", "/in/front/v1/logs", "Bearer secret", "application/x-protobuf", "gzip"}
	if diff := cmp.Diff(want, is); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	plain := httptest.NewServer(s.Config.Handler) // on this host, where nothing is compressed
	t.Cleanup(plain.Close)
	local, err := NewReceiver(Options{URL: plain.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	if err := local.Put(t.Context(), batch()); err != nil || !bytes.Equal(s.body, body) || s.request.Header.Get("Content-Encoding") != "" {
		t.Errorf("on this host: %v, %d bytes in encoding %q", err, len(s.body), s.request.Header.Get("Content-Encoding"))
	}
	unknown, err := NewReceiver(Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if err := unknown.Put(t.Context(), batch()); err == nil {
		t.Error("a server with an unknown certificate has the batch")
	}
}

// Each answer is the error that tells the sender how to go on.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, err := NewReceiver(s.options(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rejected := func(n uint64) []byte { // ExportLogsPartialSuccess
		success := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
		success = protowire.AppendString(protowire.AppendTag(success, 2, protowire.BytesType), "too old")
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), success)
	}
	const ok, busy, refused, large, part, unclear = "taken", "busy", "refused", "too large", "rejected", "unclear"
	for _, tt := range []struct {
		status int
		answer []byte
		header http.Header
		want   string
		after  time.Duration
	}{
		{status: 200, want: ok},
		{status: 204, want: ok},
		{status: 200, answer: rejected(0), want: ok}, // a warning
		{status: 200, answer: rejected(2), want: part},
		{status: 200, answer: []byte("no such message"), want: ok},
		{status: 200, header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, want: busy}, // of a portal
		{status: 302, header: http.Header{"Location": {"https://elsewhere.example"}}, want: busy},
		{status: 400, want: refused},
		{status: 401, want: busy},
		{status: 403, want: busy},
		{status: 404, want: busy},
		{status: 408, want: unclear},
		{status: 413, want: large},
		{status: 429, want: busy},
		{status: 429, header: http.Header{"Retry-After": {"7"}}, want: busy, after: 7 * time.Second},
		{status: 429, header: http.Header{"Retry-After": {"-7"}}, want: busy},
		{status: 500, want: unclear},
		{status: 502, want: unclear},
		{status: 503, want: unclear},
		{status: 504, want: unclear},
	} {
		s.status, s.answer, s.header = tt.status, tt.answer, tt.header
		err := r.Put(t.Context(), batch())
		got, after := unclear, time.Duration(0)
		var isBusy *fleet.Busy
		var isRefused *fleet.Refused
		var isRejected *fleet.Rejected
		switch {
		case err == nil:
			got = ok
		case errors.As(err, &isBusy):
			got, after = busy, isBusy.After
		case errors.As(err, &isRefused) && isRefused.TooLarge:
			got = large
		case errors.As(err, &isRefused):
			got = refused
		case errors.As(err, &isRejected) && isRejected.N == 2:
			got = part
		}
		if got != tt.want || after != tt.after {
			t.Errorf("%d %q: %s after %v (%v), want %s after %v", tt.status, tt.answer, got, after, err, tt.want, tt.after)
		}
	}
	s.Close()
	if err := r.Put(t.Context(), batch()); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no server: %v", err)
	}
}

// Mistakes in files are found at the start.
func TestFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{CA: file}, {CA: file + "x"}, {Token: file + "x"}, {Cert: file, Key: file}, {Cert: file + "x", Key: file + "x"},
	} {
		o.URL = "https://192.0.2.1:4318"
		if _, err := NewReceiver(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
