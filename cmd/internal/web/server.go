package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // the type that http.Server takes
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/recent"
	"syntap/cmd/internal/record"
)

// Limits of the listener.
const (
	maxConnections       = 128 // besides those of subscribers
	maxConnectionsOfPeer = 48
	maxSubscribers       = 32 // of /api/events and /api/connections
	maxSubscribersOfPeer = 16
	maxListings          = 8 // of /api/handshakes and /api/flows
	maxListingsOfPeer    = 4
	maxHeader            = 8 << 10
)

// timeouts of a Server's connections.
type timeouts struct {
	read   time.Duration // a request
	answer time.Duration // write an answer
	event  time.Duration // write a batch of events
	idle   time.Duration
}

var usualTimeouts = timeouts{read: 5 * time.Second, answer: 15 * time.Second, event: 5 * time.Second, idle: 30 * time.Second}

// Options of a Server: how it learns all that it shows. Those that may be nil say so.
type Options struct {
	Run     record.Run     // of the records
	Records *recent.Reader // those that are kept
	Status  func(ctx context.Context) (*Status, error)
	Metrics prometheus.Gatherer // of the router
	// Alive and Ready return why no traffic is carried: for longer than a moment, or right now. nil
	// = it is carried while the server runs.
	Alive, Ready func(ctx context.Context) error
	// Fleet returns the routers of the fleet, in JSON; nil = there is none.
	Fleet func(ctx context.Context) ([]byte, error)
}

// Server serves the records and counters of a router.
type Server struct {
	o        Options
	listener *visitors
	timeouts timeouts
	running  atomic.Bool

	subscribers crowd
	listings    crowd
	fleet       fleetList
}

// NewServer returns a server for a listener, which it takes over. Run makes it answer.
func NewServer(l net.Listener, o Options) *Server {
	return &Server{
		o: o, timeouts: usualTimeouts,
		listener:    &visitors{l, &crowd{max: maxConnections, maxOfPeer: maxConnectionsOfPeer}},
		subscribers: crowd{max: maxSubscribers, maxOfPeer: maxSubscribersOfPeer},
		listings:    crowd{max: maxListings, maxOfPeer: maxListingsOfPeer},
		fleet:       fleetList{ask: o.Fleet},
	}
}

// Addr is the address the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close closes the listener of a server that has not run.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close http listener: %w", err)
	}
	return nil
}

// Run answers requests until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	s.running.Store(true)
	silent := log.New(io.Discard, "", 0) // errors of peers are not worth a line each
	server := &http.Server{
		Handler:           guard(s.routes()),
		ReadHeaderTimeout: s.timeouts.read,
		ReadTimeout:       s.timeouts.read,
		WriteTimeout:      s.timeouts.answer,
		IdleTimeout:       s.timeouts.idle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          silent,
		ConnContext:       withVisitor,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends the subscribers
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	s.running.Store(false)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(stopping) != nil {
		_ = server.Close() // a peer that is still reading has had a second
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// routes are all paths there are, exactly: none is cleaned up or redirected.
func (s *Server) routes() map[string]http.Handler {
	routes := map[string]http.Handler{
		"/healthz":         http.HandlerFunc(s.health),
		"/readyz":          http.HandlerFunc(s.ready),
		"/api":             http.HandlerFunc(describe),
		"/api/status":      http.HandlerFunc(s.serveStatus),
		"/api/handshakes":  &listing{s, s.o.Records.Handshakes(), format.Handshake, outcomeWords()},
		"/api/flows":       &listing{s, s.o.Records.All(), format.Flow, filter.Outcomes()},
		"/api/events":      http.HandlerFunc(s.serveEvents),
		"/api/connections": http.HandlerFunc(s.serveConnections),
		"/api/fleet":       http.HandlerFunc(s.serveFleet),
		"/metrics":         s.metrics(),
	}
	addPage(routes)
	return routes
}

// describe lists the parts of the API.
func describe(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `/api/status      state and counters
/api/handshakes  recent records of handshakes, the newest first: filter, limit, outcome
/api/flows       recent records of ends, the newest first: filter, limit, outcome
/api/events      each record of a handshake, as server-sent events: after
/api/connections each record that begins or ends a connection, as server-sent events: after, filter
/api/fleet       routers of the fleet, as its store knows them
`)
}

// health says that syntap answers: this process, and the one that carries traffic.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if s.o.Alive != nil {
		if err := s.o.Alive(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// ready says that traffic is carried.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	var err error
	switch {
	case !s.running.Load():
		err = errStopped
	case s.o.Ready != nil:
		err = s.o.Ready(r.Context())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
