//go:build linux

package nat

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"syntap/stack/dial"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// place is an opening: how many flows had begun before.
type place int

func (place) IsOpening() {}

// testLog is the log of a NAT's flows. Records are written at once, or by the test.
type testLog struct {
	atOnce bool
	nat    *NAT

	mu        sync.Mutex // guards the fields below
	admission tunflow.Admission
	opened    []*tunflow.Datagram // all that were admitted
	refused   int
	ended     map[*tunflow.Datagram]tunflow.Flow
	responses []*tunflow.DNS
	faults    []string
}

func newTestLog(atOnce bool) *testLog {
	return &testLog{atOnce: atOnce, ended: make(map[*tunflow.Datagram]tunflow.Flow)}
}

// options returns o with the log.
func (l *testLog) options(o Options) Options {
	o.Opened, o.Ended, o.Answered = l.open, l.end, l.answered
	return o
}

func (l *testLog) open(d *tunflow.Datagram) tunflow.Admission {
	l.mu.Lock()
	a := l.admission
	if a == tunflow.Admit {
		d.Opening = place(len(l.opened))
		l.opened = append(l.opened, d)
	} else {
		l.refused++
	}
	l.mu.Unlock()
	if l.atOnce && a == tunflow.Admit {
		l.nat.Recorded(d)
	}
	return a
}

func (l *testLog) end(f tunflow.Flow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, again := l.ended[f.Datagram]; again {
		l.faults = append(l.faults, "ended twice: "+f.String())
	}
	if f.Datagram.Denied || !slices.Contains(l.opened, f.Datagram) {
		l.faults = append(l.faults, "ended unopened: "+f.String())
	}
	l.ended[f.Datagram] = f
}

func (l *testLog) answered(client netip.AddrPort, opening tunflow.Opening, d *tunflow.DNS) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if query := l.opened[opening.(place)]; query.Client != client || query.DNS.ID != d.ID {
		l.faults = append(l.faults, fmt.Sprintf("%v got %+v, an answer to %+v", client, d, query))
	}
	l.responses = append(l.responses, d)
}

// learned returns the number of DNS responses so far.
func (l *testLog) learned() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.responses)
}

// endings returns the number of flows that have ended.
func (l *testLog) endings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ended)
}

func (l *testLog) admit(a tunflow.Admission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.admission = a
}

// all returns the openings so far.
func (l *testLog) all() []*tunflow.Datagram {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.opened)
}

// await returns the first n openings when they are there, and fails the test if there are more.
func (l *testLog) await(t *testing.T, n int) []*tunflow.Datagram {
	t.Helper()
	tuntest.Wait(t, strconv.Itoa(n)+" openings", func() bool { return len(l.all()) >= n })
	all := l.all()
	if len(all) != n {
		t.Fatalf("%d openings, want %d", len(all), n)
	}
	return all
}

// ends returns the ends of the openings, in their order; nil for one that has not ended. Times are
// left out.
func (l *testLog) ends(t *testing.T) (all []*tunflow.Flow) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fault := range l.faults {
		t.Error(fault)
	}
	for _, d := range l.opened {
		f, ok := l.ended[d]
		if !ok {
			all = append(all, nil)
			continue
		}
		if f.Started != d.Time || f.Duration < 0 {
			t.Errorf("%s: began %v, lasted %v", f, f.Started, f.Duration)
		}
		f.Started, f.Duration = time.Time{}, 0
		all = append(all, &f)
	}
	return all
}

// startRecorded is startRouter with a log.
func startRecorded(t *testing.T, l *testLog, o Options, policy dial.Policy) *testRouter {
	t.Helper()
	link, host := tuntest.NewPipe(1500)
	r := newRouter(t, link, dial.Options{Policy: policy, Redirect: tuntest.ToLoopback}, l.options(o))
	r.host, l.nat = host, r.NAT
	r.run(t, func(f func() error) error { return f() })
	return r
}

// sendTo sends a datagram of a client.
func (r *testRouter) sendTo(t *testing.T, client, server netip.AddrPort, payload string) {
	t.Helper()
	r.host.MustSend(t, tuntest.Frame{Data: datagram(client, server, []byte(payload))})
}

// wantNext fails the test unless a far end gets payloads next, in order.
func wantNext(t *testing.T, far *net.UDPConn, payloads ...string) (peer netip.AddrPort) {
	t.Helper()
	b := make([]byte, 1<<16)
	for _, want := range payloads {
		n, from, err := far.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != want {
			t.Fatalf("far end got %q, %v, want %q", b[:n], err, want)
		}
		peer = from
	}
	return peer
}

// wantNothing fails the test if a far end has got something.
func wantNothing(t *testing.T, far *net.UDPConn) {
	t.Helper()
	_ = far.SetDeadline(time.Now().Add(time.Millisecond))
	b := make([]byte, 100)
	if n, err := far.Read(b); err == nil {
		t.Fatalf("far end got %q", b[:n])
	}
	_ = far.SetDeadline(time.Now().Add(patience))
}
