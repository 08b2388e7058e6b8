package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// figures are a trial's findings, by name. One that the router cannot have is missing.
type figures map[string]float64

// benchCase is one kind of load.
type benchCase struct {
	name    string
	figures []string // the rows of the table that it gives
	measure func(t *trial) (figures, error)

	udp     bool // not for the plain relay
	process bool // only for routers that have one
}

// applies tells whether a router can do the case at all.
func (c benchCase) applies(r router) bool {
	return (!c.udp || !r.own) && (!c.process || r.name != direct)
}

// cases returns all cases in the order of the table.
func cases() []benchCase {
	return []benchCase{
		throughput("1 stream up", "up", 1),
		throughput("1 stream down", "down", 1),
		throughput("8 streams up", "up", 8),
		throughput("8 streams down", "down", 8),
		rate("connections", "connect", 16),
		rate("TCP round trips", "echo", 1),
		beside("up", 8, rate("TCP round trips beside 8 streams up", "echo", 1)),
		beside("down", 8, rate("TCP round trips beside 8 streams down", "echo", 1)),
		rate("UDP round trips", "udp-echo", 1),
		throughput("UDP up", "udp-up", 1),
		throughput("UDP down", "udp-down", 1),
		{
			name: "idle connections", figures: []string{idleMemory}, process: true,
			measure: measureHeld,
		},
		{
			name: "idle", figures: []string{idleWakeups, idleRSS}, process: true,
			measure: measureIdle,
		},
	}
}

const (
	idleMemory  = "memory per idle connection, KiB"
	idleWakeups = "wakeups per second, idle"
	idleRSS     = "RSS, idle, MiB"
)

// throughput is a case of bytes that arrive.
func throughput(name, kind string, streams int) benchCase {
	speed, cost := name+", Gbit/s", name+", CPU seconds per GB"
	measure := func(t *trial) (figures, error) {
		client, err := t.startLoad(kind, streams)
		if err != nil {
			return nil, err
		}
		receiver := client
		if kind == "up" || kind == "udp-up" {
			receiver = t.far
		}
		s, err := t.measure(receiver)
		if err != nil {
			return nil, err
		}
		f := figures{speed: float64(s.Bytes) * 8 / 1e9 / s.Elapsed.Seconds()}
		if t.process != nil && s.Bytes > 0 {
			f[cost] = s.cpu / (float64(s.Bytes) / 1e9)
		}
		return f, nil
	}
	return benchCase{name: name, figures: []string{speed, cost}, measure: measure, udp: kind == "udp-up" || kind == "udp-down"}
}

// rate is a case of operations one after the other.
func rate(name, kind string, clients int) benchCase {
	perSecond, slowest, cost := name+" per second", name+", p99, µs", name+", CPU µs each"
	measure := func(t *trial) (figures, error) {
		client, err := t.startLoad(kind, clients)
		if err != nil {
			return nil, err
		}
		s, err := t.measure(client)
		if err != nil {
			return nil, err
		}
		f := figures{perSecond: float64(s.Done) / s.Elapsed.Seconds()}
		if s.Done > 0 {
			f[slowest] = float64(s.P99.Microseconds())
		}
		if s.Done > 0 && t.process != nil {
			f[cost] = s.cpu * 1e6 / float64(s.Done)
		}
		if s.Failed > 0 {
			err = fmt.Errorf("%d have failed, %d have not", s.Failed, s.Done)
		}
		return f, err
	}
	return benchCase{name: name, figures: []string{perSecond, slowest, cost}, measure: measure, udp: kind == "udp-echo"}
}

// beside is a case while other streams have all the room there is.
func beside(kind string, streams int, c benchCase) benchCase {
	measure := c.measure
	c.measure = func(t *trial) (figures, error) {
		if err := t.startBulk(kind, streams); err != nil {
			return nil, err
		}
		return measure(t)
	}
	return c
}

// measureHeld opens connections and reads the growth of the router's memory when they have been
// idle for a while.
func measureHeld(t *trial) (figures, error) {
	limit, err := descriptors()
	if err != nil {
		return nil, err
	}
	n := min(t.held, (limit-100)/2) // a relay has two descriptors for each
	before, err := t.process.rss()
	if err != nil {
		return nil, err
	}
	client, err := t.startLoad("hold", n)
	if err != nil {
		return nil, err
	}
	var s sample
	for deadline := time.Now().Add(30 * time.Second); s.Done+s.Failed < int64(n) && time.Now().Before(deadline); {
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
	if err := t.wait(t.window); err != nil {
		return nil, err
	}
	after, err := t.process.rss()
	if err != nil {
		return nil, err
	}
	if s, err = client.sample(); err != nil { // a connection did not last
		return nil, err
	}
	if s.Done < int64(n) {
		err = fmt.Errorf("%d of %d could be opened", s.Done, n)
	}
	return figures{idleMemory: float64(after-before) / 1024 / float64(s.Done)}, err
}

// descriptors returns how many a process may have.
func descriptors() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read limit of open files: %w", err)
	}
	return int(min(limit.Max, 1<<20)), nil
}

// measureIdle looks at a router that has carried one connection.
func measureIdle(t *trial) (figures, error) {
	if err := t.wait(t.warmUp()); err != nil {
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
	rss, err := t.process.rss()
	if err != nil {
		return nil, err
	}
	return figures{idleWakeups: float64(after-before) / t.window.Seconds(), idleRSS: float64(rss) / (1 << 20)}, nil
}
