//go:build linux

package stack

import (
	"context"
	"net/netip"
	"time"

	"syntap/stack/dial"
	"syntap/stack/race"
)

// Several addresses of a server are dialled one after the other (RFC 8305 §5). The first is dialled
// like a single one, because it mostly accepts. If it has failed, or has not accepted within
// race.Delay, its socket and those for the others become a race.

// setRest keeps the addresses to dial beside the first, and replaces those of an earlier dial.
func (c *conn) setRest(targets []netip.AddrPort) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	h := c.handshake
	if h == nil {
		return
	}
	h.rest, h.early = targets, nil
	if h.hurry != nil {
		h.hurry.Stop()
		h.hurry = nil
	}
	if len(targets) > 0 {
		h.hurry = time.AfterFunc(race.Delay, c.hurry)
	}
}

// hurry begins the race, if the first address has not accepted yet.
func (c *conn) hurry() {
	s := c.stack
	s.mu.Lock()
	if c.phase.Load() != synSent || len(c.handshake.rest) == 0 {
		s.mu.Unlock()
		return
	}
	// The dial is still running; or this host has failed, and the client tries again; or the answer
	// is held back.
	if c.handshake.dialling || c.fd < 0 || dial.IsConnected(c.fd) {
		c.handshake.hurry.Reset(race.Delay)
		s.mu.Unlock()
		return
	}
	fd, mss, target := c.fd, c.mss, c.upstream.server
	c.fd = -1 // takeRest would close it
	r := c.takeRest(nil)
	s.mu.Unlock()
	r.Join(fd, mss, target)
	c.run(r)
}

// dialRest begins the race after an error of the first address. It reports false where there are no
// others.
func (c *conn) dialRest(err error) bool {
	c.stack.mu.Lock()
	r := c.takeRest(err)
	c.stack.mu.Unlock()
	c.run(r)
	return r != nil
}

// takeRest returns the race of the addresses beside the first, which has ended with err, or nil if
// there are none; its run follows. Stack.mu is held.
func (c *conn) takeRest(err error) *race.Race {
	s, h := c.stack, c.handshake
	if h == nil || c.phase.Load() != synSent || h.unwanted || len(h.rest) == 0 {
		return nil
	}
	r := race.New(race.Options{
		Poller: s.poller, Events: streamEvents, Open: c.open, Target: c.setTarget,
	}, h.rest, c.upstream.server, err)
	s.sockets.Give(c.upstream)
	s.closeSocket(c.fd)
	c.fd, h.rest, h.dialling = -1, nil, true
	s.live.Add(1)
	return r
}

// run begins the next attempt, and starts a goroutine for the rest. For a nil race it does nothing.
func (c *conn) run(r *race.Race) {
	if r == nil {
		return
	}
	wait := r.Next()
	go func() {
		defer c.stack.live.Done()
		c.finishRace(r, wait)
	}()
}

func (c *conn) finishRace(r *race.Race, wait time.Duration) {
	ctx, abandon := context.WithCancel(context.Background())
	defer abandon()
	c.setAbandon(abandon)
	won, err := r.First(ctx, wait)
	c.setAbandon(nil)
	if won != nil {
		err = c.adopt(won.FD, won.MSS, won.Target, c.stack.poller.Hand)
	}
	if ctx.Err() != nil {
		err = nil // the handshake has ended already
	}
	c.dialledBefore(err)
	if won != nil && err == nil {
		c.beforeAnswer(c.connected) // as the poller would, but sooner
	}
}

func (c *conn) setAbandon(f context.CancelFunc) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if c.handshake.abandon = f; f != nil && c.handshake.unwanted {
		f()
	}
}
