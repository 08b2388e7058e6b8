//go:build linux

package stack

import (
	"bytes"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/peek"
	"syntap/stack/sched"
	tunflow "syntap/tun/flow"
	"syntap/tun/raw"
)

// direction is one direction of a connection. The poller and netstack's callbacks wake it.
type direction struct {
	sched.Task
	conn  *conn
	large atomic.Bool // the buffer is, and paid for; set by the owner
	quiet atomic.Bool // nothing has moved for long; set by the sweeper

	// The owner's.
	bytes   uint64 // moved in all
	carried int32  // bytes since its buffer in netstack was small, up to growAfter
	done    bool   // it has ended
	listens bool   // the client's first bytes are looked at; of the outbound direction
}

func (d *direction) init(c *conn) {
	d.conn = c
	d.Init(c.stack.sched, d, d == &c.outbound)
}

// Step implements sched.Stepper.
func (d *direction) Step(budget int) (moved int, more bool) {
	if d.quiet.Load() && d.quiet.Swap(false) && !d.done {
		d.shrink()
	}
	if d.done {
		return 0, false
	}
	if d.inbound() {
		return moveInbound(d.conn, budget)
	}
	return moveOutbound(d.conn, budget)
}

// The outbound direction alone reads netstack's endpoint, and close alone closes or aborts it:
// memory that a peek has shown stays valid until then.

// moveOutbound moves bytes from netstack's receive queue to the host socket: it peeks at the queue,
// writes the views in one call and discards the bytes that were written. No byte is copied.
func moveOutbound(c *conn, budget int) (moved int, more bool) {
	g := c.stack.gathers.Get().(*peek.Views)
	defer g.Release(&c.stack.gathers)
	for moved < budget {
		if c.seen.has(clientReset) {
			c.finish(&c.outbound)
			return moved, false
		}
		open := c.gate.Open()
		all := !open && c.hasAll()
		g.Begin(budget, c.memory.tight.Load() && open)
		if _, err := c.ep.Read(g, tcpip.ReadOptions{Peek: true}); err != nil {
			return moved, c.nothingToSend(err)
		}
		if len(g.IOV) == 0 {
			return moved, false
		}
		if !c.isLocal && !c.seen.has(clientLong) {
			c.lookForLong(g)
		}
		if !open && !c.passGate(g, all) {
			if c.seen.has(clientReset) {
				continue
			}
			return moved, false
		}
		if c.dns != nil {
			c.dns.ReadQueries(g, &c.memory.payer, c.stack.o.DNSAnswered != nil)
		}
		n, errno := c.write(g)
		switch errno {
		case 0:
			c.gate.Sent(n)
			if c.outbound.listens {
				c.first, c.outbound.listens = c.first.Read(g, n, &c.memory.payer)
			}
			c.dns.Sent(n)
			c.discard(n)
			c.outbound.noteMoved(n)
			moved += n
			// If the socket is full, the next call returns EAGAIN and arms the poller.
		case unix.EAGAIN:
			return moved, false
		default:
			c.end(serverFailure(errno))
		}
	}
	return moved, true
}

func (c *conn) write(g *peek.Views) (int, syscall.Errno) {
	if c.outbound.bytes == 0 {
		return c.writeFirst(g)
	}
	if g.Tight() { // the kernel adds no more to this segment, which would take up to 32 KiB
		return raw.Send(c.fd, g.View(0, g.Size), unix.MSG_EOR|unix.MSG_NOSIGNAL)
	}
	return raw.Writev(c.fd, g.IOV)
}

// nothingToSend handles the error of a read from netstack. It reports whether the outbound
// direction must read again.
func (c *conn) nothingToSend(err tcpip.Error) (more bool) {
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		return c.endIfServerFailed()
	case *tcpip.ErrClosedForReceive: // FIN, or a RST that the inbound direction has seen
		c.lookAtEnd()
		if c.clientGone() {
			c.end(clientRST)
		} else {
			c.end(clientFIN)
		}
	default: // RST, or netstack gave the client up
		c.lookAtEnd()
		c.end(clientFailure(err))
	}
	c.finish(&c.outbound)
	return false
}

// endIfServerFailed checks the host socket when no write would return its error, and reports
// whether it has one. A socket that is only closed for reading has none.
func (c *conn) endIfServerFailed() (failed bool) {
	if !c.seen.has(hangup) || !c.lastDirection() {
		return false
	}
	var errno int32
	if raw.Option(c.fd, unix.SOL_SOCKET, unix.SO_ERROR, &errno) == 0 && errno == 0 {
		return false
	}
	c.end(serverFailure(syscall.Errno(errno)))
	return true
}

// moveInbound moves bytes from the host socket to netstack through a buffer. One large read costs
// the host far less than several straight into netstack's memory: each read makes the host
// acknowledge and the far side send, and a client that gets much at once is woken less often.
func moveInbound(c *conn, budget int) (moved int, more bool) {
	moved, more = c.moveUnsent(budget)
	if !c.inbound.done {
		c.keepUnsent()
	}
	return moved, more
}

func (c *conn) moveUnsent(budget int) (moved int, more bool) {
	drained := false // the last read has brought all bytes that there were
	for moved < budget {
		if c.seen.has(clientReset | serverReset) {
			c.finishInbound()
			return moved, false
		}
		if c.lastDirection() && c.clientGone() {
			c.end(clientRST)
			continue
		}
		if len(c.unsent) == 0 && !c.takeBlocked() {
			if drained || c.memory.tight.Load() && c.ep.Readiness(waiter.WritableEvents) == 0 {
				return moved, false // netstack will notify when it has room
			}
			b := c.readBuffer()
			n, errno := raw.Read(c.fd, b)
			switch {
			case errno == unix.EAGAIN:
				return moved, false
			case errno != 0:
				c.end(serverFailure(errno))
				continue
			case n == 0:
				c.end(serverFIN)
				c.finishInbound()
				return moved, false
			}
			if c.gate.NoteAnswer() {
				c.outbound.Wake()
			}
			if c.inbound.bytes == 0 {
				c.answer.Store(peek.AnswerLength(b[:n]))
			}
			if c.dns != nil {
				c.dns.ReadResponses(b[:n], &c.memory.payer, c.answered())
			}
			if c.gate.Queries != nil {
				c.gate.Queries.Follow(b[:n])
			}
			c.unsent, drained = b[:n], n < len(b) && !c.seen.has(hangup|urgent)
		}
		wrote, err := c.writeUnsent(budget - moved)
		moved += wrote
		switch {
		case err != nil:
			c.end(clientFailure(err))
		case wrote == 0: // netstack will notify when it has room
			return moved, false
		}
	}
	return moved, len(c.unsent) > 0 || !drained
}

// answered returns the function that receives the responses to DNS queries, nil for none.
func (c *conn) answered() func(*tunflow.DNS) {
	o := &c.stack.o
	if o.DNSAnswered == nil {
		return nil
	}
	return func(m *tunflow.DNS) { o.DNSAnswered(c.key.client, c.opening, m) }
}

// finishInbound ends the inbound direction.
func (c *conn) finishInbound() {
	c.releaseReadBuffer()
	blocked := c.gate.Queries != nil
	c.finish(&c.inbound)
	if blocked {
		c.outbound.Wake() // it may wait for room among the responses
	}
}

// writeUnsent gives netstack about budget bytes of unsent, and returns the number that it accepted.
// An error means that the client accepts no more.
func (c *conn) writeUnsent(budget int) (wrote int, err tcpip.Error) {
	chunk := c.stack.chunks.Get().(*bytes.Reader)
	defer c.stack.chunks.Put(chunk)
	for len(c.unsent) > 0 && wrote < budget {
		chunk.Reset(c.unsent[:min(len(c.unsent), maxChunk)])
		n, err := c.ep.Write(chunk, tcpip.WriteOptions{})
		chunk.Reset(nil) // netstack keeps the reader until the next write, and with it the buffer
		if _, full := err.(*tcpip.ErrWouldBlock); err != nil && !full {
			return wrote, err
		}
		if n == 0 {
			break
		}
		wrote += int(n)
		c.unsent = c.unsent[n:]
		c.inbound.noteMoved(int(n))
	}
	return wrote, nil
}

// smallRead is the size of a read for a connection that has small buffers, tightRead for one that
// has tight ones.
const (
	smallRead = 16 << 10
	tightRead = 1 << 10
)

// readBuffer returns the memory for a read. The connection keeps it until releaseReadBuffer.
func (c *conn) readBuffer() []byte {
	if c.buffer == nil {
		c.buffer = c.stack.readBuffers.Get().(*[maxRead]byte)
	}
	switch {
	case c.inbound.large.Load():
		return c.buffer[:]
	case c.memory.tight.Load():
		return c.buffer[:tightRead]
	}
	return c.buffer[:smallRead]
}

// keepUnsent is called at the end of a step. It keeps a few unsent bytes as a copy, many with their
// buffer; an idle connection has none.
func (c *conn) keepUnsent() {
	switch {
	case len(c.unsent) == 0:
		c.releaseReadBuffer()
	case c.buffer == nil: // kept before
	case len(c.unsent) <= smallRead:
		unsent := append([]byte(nil), c.unsent...)
		c.releaseReadBuffer()
		c.unsent = unsent
		c.memory.kept.Store(int32(cap(unsent)))
	default:
		c.memory.kept.Store(int32(len(c.buffer)))
	}
}

// releaseReadBuffer gives back the memory of unsent bytes, and of a read.
func (c *conn) releaseReadBuffer() {
	c.unsent = nil
	if c.buffer != nil {
		c.stack.readBuffers.Put(c.buffer)
		c.buffer = nil
	}
	c.memory.kept.Store(0)
}
