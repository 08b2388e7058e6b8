package web

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// The list of the fleet is kept for a while, so that readers of the page do not make the store
// work, and asked for in a bounded time.
const (
	fleetAge     = 5 * time.Second
	fleetTimeout = 12 * time.Second
)

// fleetList is the list of the fleet that was asked for last.
type fleetList struct {
	ask func(ctx context.Context) ([]byte, error) // nil: there are no stores

	mu   sync.Mutex // held while the store is asked, too
	list []byte
	err  error
	at   time.Time
}

// get returns the list, of which one question is under way at a time.
func (f *fleetList) get(ctx context.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.at) < fleetAge {
		return f.list, f.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fleetTimeout)
	defer cancel()
	f.list, f.err = f.ask(ctx)
	f.at = time.Now()
	return f.list, f.err
}

// serveFleet answers with the routers of the fleet.
func (s *Server) serveFleet(w http.ResponseWriter, r *http.Request) {
	if s.fleet.ask == nil {
		http.Error(w, "the config has no fleet.stores", http.StatusNotFound)
		return
	}
	list, err := s.fleet.get(r.Context())
	if err != nil {
		http.Error(w, "no store answers: "+err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(list) // only the peer can fail
}
