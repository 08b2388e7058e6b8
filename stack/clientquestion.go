//go:build linux

package stack

import (
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/farseq"
	"syntap/stack/netstack"
	"syntap/stack/peek"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

const (
	mostQuestions = 32 // to clients, a look
	mostUnheard   = 2  // questions in a row to one client
)

// shortClient is the longest packet of a client that tells nothing of the way from it: a finding
// without sizes clamps to that.
const shortClient = 1280

// lookForLong looks for a longer packet in a peek: the memory behind the head of its frame is a
// view of its own. Tight buffers hide it.
func (c *conn) lookForLong(g *peek.Views) {
	long := c.memory.tight.Load()
	for i := 0; i < len(g.IOV) && !long; i++ {
		long = g.IOV[i].Len > shortClient-tun.HeadSize
	}
	if long {
		c.seen.set(clientLong)
	}
}

// askClient asks a client, of which no packet above 1280 bytes has come, how far it has sent: after
// one, two, four seconds of silence and so on until looksFor is over, and each second while bytes
// before others are missing, or its answer. It reports whether it has.
func (c *conn) askClient(stall *tunflow.Stall) bool {
	due := stall.Missing > 0 || stall.Held > 0 || c.sweep.unheard > 0 || c.sweep.silent&(c.sweep.silent-1) == 0
	if due && stall.Silent <= looksFor && c.mayAskClient(stall.Missing > 0 || stall.Held > 0) && c.beginQuestion() {
		return true
	}
	c.sweep.unheard = 0
	return false
}

// mayAskClient reports whether a client may be asked. Those that hang are not counted.
func (c *conn) mayAskClient(hangs bool) bool {
	s := c.stack
	if c.isLocal || c.seen.has(clientLong|clientReset) || s.o.First == nil ||
		!hangs && (c.sweep.unheard >= mostUnheard || s.questions >= mostQuestions) {
		return false
	}
	looks, _ := s.o.First(c.key.server.Port())
	return looks
}

// sendsLong reports whether the link to a client takes packets above 1280 bytes, by the MSS that
// both sides have announced.
func (c *conn) sendsLong(at netstack.Progress) bool {
	short := packet.MTU(shortClient).MSS(c.key.client.Addr().Is6()) - timestamps
	return c.clientMTU() > shortClient && at.Full > uint32(short)
}

// beginQuestion asks the client of an open connection on which nothing is outstanding to it.
func (c *conn) beginQuestion() bool {
	const mayRead = waiter.ReadableEvents
	at, ok := netstack.ProgressOf(c.ep)
	if !ok || !c.sendsLong(at) || at.SndUna != at.SndNxt || c.ep.Readiness(mayRead)&mayRead != 0 ||
		tcp.EndpointState(c.ep.State()) != tcp.StateEstablished {
		return false
	}
	s := c.stack
	s.mu.Lock()
	open := c.phase.Load() == established
	if open {
		c.seen.set(clientAsked)
		s.asked.Ask(c.key.client, c.key.server, at.RcvNxt, at.SndNxt)
	}
	s.mu.Unlock()
	if !open {
		return false
	}
	s.questions++
	c.sweep.unheard++
	netstack.ProbeClient(c.ep, s.keepalive().Idle)
	return true
}

// hearClient takes the client's answer to the question of the last look, and reports whether there
// is one. It returns the bytes that the client has sent and that have not come, if they make up for
// a full segment.
func (c *conn) hearClient() (missing uint64, heard bool) {
	if c.sweep.unheard == 0 {
		return 0, false
	}
	missing, heard = c.stack.asked.End(c.key.client, c.key.server)
	if !heard {
		k := c.stack.keepalive()
		netstack.SetKeepalive(c.ep, k.Idle, k.Interval, k.Probes) // no answer to a question is no silence
		return 0, false
	}
	c.sweep.unheard = 0
	if missing < farseq.Least {
		return 0, true
	}
	if c.sweep.missed == 0 {
		c.sweep.missed = c.sweep.silent
	}
	return missing, true
}
