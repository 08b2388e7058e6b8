package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"syntap/cmd/internal/fleet"
)

// TestFleet: readers of the list do not each ask the store.
func TestFleet(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := serveOptions(t, "127.0.0.1:0", usualTimeouts, Options{Fleet: func(context.Context) ([]byte, error) {
		asked.Add(1)
		return []byte(`{"routers":[]}`), nil
	}})
	done := make(chan string)
	for range 5 {
		go func() {
			_, body := get(t, s, "/api/fleet", "")
			done <- body
		}()
	}
	for range 5 {
		if body := <-done; body != `{"routers":[]}` {
			t.Errorf("answer %q", body)
		}
	}
	if n := asked.Load(); n != 1 && n != 2 { // 2: the machine stood still for fleetAge
		t.Errorf("the store was asked %d times", n)
	}
	if status, body := get(t, s, "/fleet", ""); status != http.StatusOK || !strings.Contains(body, "/page/fleet.js") {
		t.Errorf("page: %d %q", status, body)
	}
}

// TestFleetFails: a store that does not answer, and a router without one, are told apart.
func TestFleetFails(t *testing.T) {
	t.Parallel()
	s := serveOptions(t, "127.0.0.1:0", usualTimeouts, Options{Fleet: func(context.Context) ([]byte, error) {
		return nil, errors.New("connection refused")
	}})
	if status, body := get(t, s, "/api/fleet", ""); status != http.StatusBadGateway || !strings.Contains(body, "connection refused") {
		t.Errorf("without an answer: %d %q", status, body)
	}
	if status, body := get(t, serve(t, "127.0.0.1:0"), "/api/fleet", ""); status != http.StatusNotFound || !strings.Contains(body, "fleet.stores") {
		t.Errorf("without a store: %d %q", status, body)
	}
}

// TestMetricsOfStores: each store has metrics of its own, under its name; none tells an address.
func TestMetricsOfStores(t *testing.T) {
	t.Parallel()
	s := serveCounters(t, "127.0.0.1:0", usualTimeouts, Options{}, Counters{Fleet: []fleet.Stats{
		{Name: "logs1", URL: "https://192.0.2.1:9428", Records: 1},
		{Name: "fleet.stores[1]", URL: "https://proxy/a", Records: 2},
		{Name: "fleet.stores[2]", URL: "https://proxy/b", Records: 3},
	}})
	status, body := get(t, s, "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("%d: %.300s", status, body)
	}
	for _, want := range []string{
		`syntap_fleet_records_total{store="logs1"} 1`,
		`syntap_fleet_records_total{store="fleet.stores[1]"} 2`,
		`syntap_fleet_records_total{store="fleet.stores[2]"} 3`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, address := range []string{"192.0.2.1", "proxy"} {
		if strings.Contains(body, address) {
			t.Errorf("the metrics tell the address of a store, %s", address)
		}
	}
}
