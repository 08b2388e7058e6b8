package blackhole

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// world is a router around a Finder.
type world struct {
	*Finder
	paths  measurements
	opens  bool
	cures  bool
	passes [2]bool // on other connections, up and down
	acked  atomic.Uint64

	mu                    sync.Mutex // guards the rest
	told                  []*record.Finding
	disagreed             int
	unsure                []string
	freed, lowered, reset map[flow.Key]int // lowered has path MTUs
}

// found returns the findings that were told.
func (w *world) found() []*record.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

func (w *world) disagreements() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.disagreed
}

// cured returns the connections that were freed, lowered or reset.
func (w *world) cured() (freed, lowered, reset map[flow.Key]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.freed), maps.Clone(w.lowered), maps.Clone(w.reset)
}

// add counts for a connection.
func (w *world) add(to map[flow.Key]int, k flow.Key, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	to[k] += n
}

// measurements are made in goroutines of their own.
type measurements struct {
	mu       sync.Mutex    // guards all below
	path     Path          // that they find
	early    Path          // the same at first
	takes    time.Duration // 0 = three seconds
	err      error
	measured int
	patient  bool // the last one
}

func (m *measurements) setPatient(patient bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.patient = patient
}

// find has measurements find a path, or fail.
func (m *measurements) find(p Path, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.path, m.err = p, err
}

// soFar returns the path that measurements have found before they end.
func (m *measurements) soFar() Path {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.early
}

// count returns how many measurements have begun.
func (m *measurements) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.measured
}

// measure takes three seconds, unless takes says otherwise.
func (m *measurements) measure(ctx context.Context, _ netip.AddrPort, _ string) (Path, error) {
	m.mu.Lock()
	m.measured++
	takes := cmp.Or(m.takes, 3*time.Second)
	m.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(takes):
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.path, m.err
}

// isPatient reports whether the last measurement may take long.
func (m *measurements) isPatient() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.patient
}

// inWorld runs a test in a bubble with a clock of its own.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w := &world{freed: make(map[flow.Key]int), lowered: make(map[flow.Key]int), reset: make(map[flow.Key]int)}
		w.Finder = New(Options{
			Measure: func(ctx context.Context, far netip.AddrPort, name string, patient bool, soFar func(Path)) (Path, error) {
				soFar(Path{})
				soFar(w.paths.soFar())
				w.paths.setPatient(patient)
				return w.paths.measure(ctx, far, name)
			},
			Known:  func(port uint16) bool { return port == 443 },
			Opens:  func(context.Context, netip.AddrPort) bool { return w.opens },
			Passes: func(netip.Addr) (up, down bool) { return w.passes[0], w.passes[1] },
			Unsure: func(far netip.AddrPort, _ string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.unsure = append(w.unsure, far.String())
			},
			Disagree: func(netip.Addr) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.disagreed++
			},
			Found: func(f *record.Finding) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.told = append(w.told, f)
			},
			Cures: func(netip.AddrPort, netip.AddrPort) bool { return w.cures },
			ClearDF: func(k flow.Key) bool {
				if k.Server.Addr().Is4() {
					w.add(w.freed, k, 1)
				}
				return k.Server.Addr().Is4()
			},
			Acked: func(flow.Key) (uint64, bool) { return w.acked.Load(), true },
			MeasureClient: func(ctx context.Context, k flow.Key, _ int) (Path, error) {
				return w.paths.measure(ctx, k.Server, "")
			},
			LowerClientMTU: func(k flow.Key, mtu int) bool { w.add(w.lowered, k, mtu); return true },
			Reset:          func(k flow.Key) { w.add(w.reset, k, 1) },
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { w.Run(ctx); close(done) }()
		defer func() { cancel(); <-done; w.Close() }()
		test(w)
	})
}

// stalls has a connection stall for some seconds.
func (w *world) stalls(s flow.Stall, seconds int) {
	for range seconds {
		s.Silent += time.Second
		w.Stalled(s)
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

func stallTo(server string, client int) flow.Stall {
	far := netip.MustParseAddrPort(server)
	near := netip.MustParseAddrPort(fmt.Sprintf("192.0.2.1:%d", client))
	return flow.Stall{Key: flow.Key{Client: near, Server: far}, Remote: far, SndMSS: 1448, AdvMSS: 1448, RcvMSS: 536}
}

// up is a connection whose full segments are lost.
func up(server string, client int) flow.Stall {
	s := stallTo(server, client)
	s.Acked, s.Unacked, s.Outstanding, s.Backoff = 300, 10, 14480, 4
	return s
}

// down is a connection of which only a short segment comes, behind a hole.
func down(server string, client int) flow.Stall {
	s := stallTo(server, client)
	s.Acked, s.Held = 300, 1280
	return s
}

func narrow(passes int) Path { return Path{Up: Way{Hole: true, Passes: passes, Fails: passes + 1}} }
