//go:build linux

package stack

import (
	"syscall"

	"golang.org/x/sys/unix"

	"syntap/stack/farseq"
	"syntap/stack/peek"
	"syntap/stack/sockmem"
	tunflow "syntap/tun/flow"
	"syntap/tun/raw"
)

// farSide has the sequence numbers of a connection's far side, as far as they are known.
type farSide struct {
	origin   farseq.Origin
	question farseq.Question
	missing  bool         // bytes are, from a place on
	from     farseq.Place // that place
}

const (
	mostFirst = 32 // connections whose origin is learned, a second
	// shortFirst is the payload of an upload's first segment. If it is acknowledged and the full
	// segments after it are not, these vanish because of their size.
	shortFirst = 512
)

// writeFirst writes the first bytes of a connection to the host socket, and learns the initial
// sequence numbers of both its sides. Under load it does so for a sample of the connections; the
// others cost nothing.
func (c *conn) writeFirst(g *peek.Views) (int, syscall.Errno) {
	s := c.stack
	if s.o.First == nil || s.firsts.Load() >= mostFirst || s.firsts.Add(1) > mostFirst {
		return raw.Writev(c.fd, g.IOV)
	}
	learn, short := s.o.First(c.upstream.server.Port())
	if short && g.Size > 2*shortFirst {
		g.Cut(shortFirst)
	}
	if !learn {
		return raw.Writev(c.fd, g.IOV)
	}
	c.seen.set(looped)
	before, ok := sockmem.TCP(c.fd)
	if !ok || !farseq.Loop(c.fd, true) {
		return raw.Writev(c.fd, g.IOV)
	}
	n, errno := raw.Writev(c.fd, g.IOV)
	farseq.Loop(c.fd, false)
	origin, ok := farseq.Looped(c.fd, c.upstream.client, c.upstream.server, before.Bytes_received)
	if after, is := sockmem.TCP(c.fd); ok && is && after.Bytes_received == before.Bytes_received {
		c.far.Store(&farSide{origin: origin})
	}
	return n, errno
}

// hearFar evaluates the far side's answer to the probe of the last look.
func (c *conn) hearFar() {
	if !c.sweep.asking {
		return
	}
	c.sweep.asking = false
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if far := c.far.Load(); far != nil && c.phase.Load() == established {
		info, _ := sockmem.TCP(c.fd)
		if from, missing := far.question.End(c.fd, &info); missing {
			far.missing, far.from = true, from
			c.sweep.missed = c.sweep.silent
		}
	}
}

// askFar probes the far side of a connection that waits only for it, to find out whether it has
// sent bytes that have not arrived. Once that is known, it only probes whether the far side still
// exists.
func (c *conn) askFar(stall *tunflow.Stall) {
	if stall.Unacked > 0 {
		return
	}
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	far := c.far.Load()
	if far == nil && stall.Held == 0 || c.phase.Load() != established || readable(c.fd) > 0 || c.memory.kept.Load() > 0 {
		return
	}
	if far != nil && stall.Missing == 0 && stall.Held == 0 {
		if info, ok := sockmem.TCP(c.fd); ok {
			c.sweep.asking = true
			far.question.Ask(c.fd, far.origin, &info, c.stack.attach())
		}
	}
	c.prober.Ask(c.fd)
}

// attach returns the function by which a question gets its filter.
func (s *Stack) attach() func(fd int, ack, seq uint32) error {
	if s.o.Attach != nil {
		return s.o.Attach
	}
	return farseq.Attach
}

// missing returns the least number of bytes that the far side has sent beyond those received; 0 =
// unknown. stack.mu is held.
func (c *conn) missing(info *unix.TCPInfo) uint64 {
	far := c.far.Load()
	if far == nil || !far.missing || far.from.Received != info.Bytes_received {
		return 0
	}
	return farseq.Least
}
