package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// figures are a trial's findings, by name. One that the router cannot have is missing.
type figures map[string]float64

// benchCase is one kind of load. Either it has measure, or start and found.
type benchCase struct {
	name    string
	figures []string // the rows of the table that it gives
	measure func(t *trial) (figures, error)
	start   func(t *trial) (receiver *child, err error) // starts the load, which the receiver counts
	found   func(t *trial, s span) (figures, error)     // in a span of the load

	place
	udp     bool // not for the plain relay
	quic    bool // needs the program of tools/quicload
	process bool // only for routers that have one
	option  bool // for the variants of syntap too
}

// applies tells whether the case is measured with a router.
func (c benchCase) applies(r router) bool {
	switch {
	case c.udp && r.own, c.process && r.name == direct, c.gateway && r.clientNamespace:
		return false
	}
	return c.option || !r.variant
}

// cases returns all cases in the order of the table.
func cases() []benchCase {
	return []benchCase{
		option(throughput("1 stream up", "up", 1)),
		throughput("1 stream down", "down", 1),
		option(throughput("8 streams up", "up", 8)),
		option(throughput("8 streams down", "down", 8)),
		at(place{mtu: 9000}, throughput("1 stream up, MTU 9000", "up", 1)),
		at(place{mtu: 9000}, throughput("1 stream down, MTU 9000", "down", 1)),
		at(place{mtu: 65520}, throughput("1 stream up, MTU 65520", "up", 1)),
		at(place{mtu: 65520}, throughput("1 stream down, MTU 65520", "down", 1)),
		at(place{gateway: true}, throughput("1 stream up of a gateway's client", "up", 1)),
		at(place{gateway: true}, throughput("1 stream down of a gateway's client", "down", 1)),
		option(rate("connections", "connect", 16)),
		option(rate("TLS connections", "tls", 16)),
		besideIdle(rate("connections beside 10,000 idle", "connect", 16)),
		at(place{gateway: true}, rate("connections of a gateway's client", "connect", 16)),
		option(rate("TCP round trips", "echo", 1)),
		beside("up", 8, rate("TCP round trips beside 8 streams up", "echo", 1)),
		beside("down", 8, rate("TCP round trips beside 8 streams down", "echo", 1)),
		besideIdle(rate("TCP round trips beside 10,000 idle connections", "echo", 1)),
		option(withDNS(rate("DNS queries", "dns", 4))),
		option(rate("UDP round trips", "udp-echo", 1)),
		rate("UDP round trips, 8 flows", "udp-echo", 8),
		throughput("UDP up", "udp-up", 1),
		throughput("UDP down", "udp-down", 1),
		throughput("UDP up, 8 flows", "udp-up", 8),
		throughput("UDP down, 8 flows", "udp-down", 8),
		overQUIC(throughput("QUIC up", "quic-up", 1)),
		overQUIC(throughput("QUIC down", "quic-down", 1)),
		{
			name: "idle connections", figures: []string{idleMemory}, process: true, option: true,
			measure: measureHeld,
		},
		{
			name: "idle", figures: []string{idleWakeups, freshMemory, freshOwn}, process: true, option: true,
			measure: measureIdle,
		},
	}
}

const (
	idleWakeups = "wakeups per second, idle"
	freshMemory = "memory, idle, MiB"
	freshOwn    = "memory, idle, without files, MiB"
)

// throughput is a case of bytes that arrive.
func throughput(name, kind string, streams int) benchCase {
	speed, cost := name+", Gbit/s", name+", CPU seconds per GB"
	start := func(t *trial) (receiver *child, err error) {
		client, err := t.startLoad(kind, streams)
		if strings.HasSuffix(kind, "up") {
			return t.far, err
		}
		return client, err
	}
	found := func(t *trial, s span) (figures, error) {
		f := figures{speed: float64(s.Bytes) * 8 / 1e9 / s.Elapsed.Seconds()}
		if t.process != nil && s.Bytes > 0 {
			f[cost] = s.cpu / (float64(s.Bytes) / 1e9)
		}
		return f, nil
	}
	c := benchCase{name: name, figures: []string{speed, cost}, start: start, found: found}
	c.udp = strings.HasPrefix(kind, "udp-")
	return c
}

// rate is a case of operations one after the other.
func rate(name, kind string, clients int) benchCase {
	perSecond, cost := name+" per second", name+", CPU µs each"
	middle, slowest := name+", p50, µs", name+", p99, µs"
	start := func(t *trial) (*child, error) { return t.startLoad(kind, clients) }
	found := func(t *trial, s span) (f figures, err error) {
		if s.Done == 0 {
			return nil, fmt.Errorf("none was done in %v, %d have failed", s.Elapsed, s.Failed)
		}
		f = figures{
			perSecond: float64(s.Done) / s.Elapsed.Seconds(),
			middle:    float64(s.P50.Nanoseconds()) / 1e3,
			slowest:   float64(s.P99.Nanoseconds()) / 1e3,
		}
		if t.process != nil {
			f[cost] = s.cpu * 1e6 / float64(s.Done)
		}
		if s.Failed > 0 {
			err = fmt.Errorf("%d have failed, %d have not", s.Failed, s.Done)
		}
		return f, err
	}
	all := []string{perSecond, middle, slowest, cost}
	return benchCase{name: name, figures: all, start: start, found: found, udp: kind == "udp-echo"}
}

// calm is how long a router has to be idle before its memory is read: those that give some back
// wait for that.
const calm = 5 * time.Second

// measureHeld opens connections, and more of them, and reads by how much these make the router's
// memory grow once all are idle. The first ones make it need as much as any number needs.
func measureHeld(t *trial) (figures, error) {
	n, err := holdable(t.held)
	if err != nil {
		return nil, err
	}
	first := max(n/10, 1)
	if _, err := t.hold(first); err != nil {
		return nil, err
	}
	before, err := t.calmMemory()
	if err != nil {
		return nil, err
	}
	client, err := t.hold(n - first)
	if err != nil {
		return nil, err
	}
	after, err := t.calmMemory()
	if err != nil {
		return nil, err
	}
	s, err := client.sample()
	if err != nil { // a connection did not last
		return nil, err
	}
	if s.Done < int64(n-first) {
		err = fmt.Errorf("%d of %d could be opened", s.Done, n-first)
	}
	return figures{idleMemory: float64(after.own-before.own) / 1024 / float64(s.Done)}, err
}

func (t *trial) calmMemory() (memory, error) {
	if err := t.wait(max(t.window, calm)); err != nil {
		return memory{}, err
	}
	return t.process.memory()
}

// hold opens idle connections, and returns when it has tried all.
func (t *trial) hold(n int) (*child, error) {
	client, err := t.startLoad("hold", n)
	if err != nil {
		return nil, err
	}
	var s sample
	deadline := time.Now().Add(30 * time.Second)
	for s.Done+s.Failed < int64(n) && time.Now().Before(deadline) {
		if err := t.wait(t.window / 10); err != nil {
			return nil, err
		}
		if s, err = client.sample(); err != nil {
			return nil, err
		}
	}
	if s.Done == 0 {
		return nil, errors.New("no connection could be opened")
	}
	return client, nil
}

// holdable returns how many of n connections a relay can hold: it has two descriptors for each.
func holdable(n int) (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read limit of open files: %w", err)
	}
	return min(n, (int(min(limit.Max, 1<<20))-500)/2), nil
}

// measureIdle looks at a router that has carried one connection.
func measureIdle(t *trial) (figures, error) {
	fresh, err := t.calmMemory()
	if err != nil {
		return nil, err
	}
	before, err := t.process.wakeups()
	if err != nil {
		return nil, err
	}
	if err := t.wait(t.window); err != nil {
		return nil, err
	}
	after, err := t.process.wakeups()
	if err != nil {
		return nil, err
	}
	return figures{
		idleWakeups: float64(after-before) / t.window.Seconds(),
		freshMemory: float64(fresh.all) / (1 << 20), freshOwn: float64(fresh.own) / (1 << 20),
	}, nil
}
