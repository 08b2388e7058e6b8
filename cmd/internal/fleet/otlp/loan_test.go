package otlp

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"syntap/cmd/internal/fleet"
	"syntap/tun/tuntest"
)

// TestSend: the memory of a body is free when Send returns, also where the server answers before it
// has read it; the race detector tells. A server that closes idle connections gets the body whole.
func TestSend(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("records "), 1<<20)
	var taken []byte
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	mux.HandleFunc("/all", func(_ http.ResponseWriter, r *http.Request) { taken, _ = io.ReadAll(r.Body) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	e, err := NewEndpoint(Options{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	refused := new(fleet.Refused)
	for range 20 {
		_, err := e.Send(t.Context(), "early", http.Header{}, body)
		if err == nil {
			t.Fatal("taken")
		}
		if !errors.As(err, &refused) {
			t.Logf("the connection ended before the answer was read: %v", err) // as TCP may have it
		}
		body[0]++
		body[len(body)-1]++
	}
	for range 2 {
		tuntest.Wait(t, "the body to be taken", func() bool {
			_, err := e.Send(t.Context(), "all", http.Header{}, body)
			return err == nil // or the server has closed the connection meanwhile
		})
		if !bytes.Equal(taken, body) {
			t.Fatalf("%d bytes, want %d", len(taken), len(body))
		}
		s.CloseClientConnections()
	}
}
