package e2e_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestKillResets kills the router in the middle of an upload: the server must not take its part
// for the whole.
func TestKillResets(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything)
	begun, atServer := make(chan struct{}), make(chan error)
	for _, host := range addresses() {
		l := lab.Server.Listen("tcp", net.JoinHostPort(host, "7000"))
		go func() {
			atServer <- serveOne(l, func(conn *net.TCPConn) error {
				_, _ = io.ReadFull(conn, make([]byte, 5))
				begun <- struct{}{}
				_, err := io.Copy(io.Discard, conn)
				return err
			})
		}()
		if _, err := dial(t, lab.Router, l.Addr().String()).Write([]byte("begun")); err != nil {
			t.Fatal(err)
		}
		<-begun
	}
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range addresses() {
		if err := <-atServer; !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("server read to the end, %v, want a reset", err)
		}
	}
}

// TestKillLosesNoRecord kills the router again and again while connections are made as fast as they
// go. Each connection of which a byte has come through, to either end, is in the log; the log has
// no broken line and no gap in its numbers.
func TestKillLosesNoRecord(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	var served ends
	go serveAll(lab.Server.Listen("tcp", address), func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("y"))
		if n, _ := conn.Read(make([]byte, 1)); n == 1 {
			served.add("router " + conn.RemoteAddr().String())
		}
	})
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	rounds := scaled(10, 200)
	var connections atomic.Int64
	var busy time.Duration
	for range rounds {
		r.Process = lab.Router.Start(binary, "run", "-c", config)
		r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		start := time.Now()
		for range 16 {
			clients.Go(func() {
				for ctx.Err() == nil {
					served.exchange(ctx, lab, address)
					connections.Add(1)
				}
			})
		}
		before, until := connections.Load(), 100+rand.Int64N(400)
		r.wait(t, "connections", func() bool { return connections.Load()-before >= until })
		if err := r.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		busy += time.Since(start)
		r.ended(t, "SIGKILL")
		cancel()
		clients.Wait()
	}
	r.Process = lab.Router.Start(binary, "run", "-c", config) // mends the end
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	r.stop(t, unix.SIGTERM)

	recorded := make(map[string]int)
	for _, record := range r.records(t) { // checks lines and numbers
		if record.Outcome == "established" {
			recorded["client "+net.JoinHostPort(record.Src, strconv.Itoa(record.Sport))]++
			recorded["router "+record.Upstream.Local]++
		}
	}
	all := served.take()
	reportf(t, "%d rounds of SIGKILL, %.0f connections per second, %d ends served", rounds, float64(connections.Load())/busy.Seconds(), len(all))
	if len(all) < rounds*100 {
		t.Errorf("%d ends served, want at least %d", len(all), rounds*100)
	}
	for _, end := range all {
		if recorded[end]--; recorded[end] < 0 {
			t.Errorf("%s has received a byte and is not in the log", end)
		}
	}
}

// ends collects the ends of connections that have received a byte: "client ADDRESS" and "router
// ADDRESS".
type ends struct {
	mu  sync.Mutex // guards all
	all []string
}

func (e *ends) add(end string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, end)
}

func (e *ends) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// exchange connects, sends a byte and waits for one, until ctx ends.
func (e *ends) exchange(ctx context.Context, lab *tuntest.Lab, address string) {
	conn, err := lab.Router.Dial(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write([]byte("x")); err != nil {
		return
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
		e.add("client " + conn.LocalAddr().String())
	}
}
