//go:build linux

package stack

import (
	"bytes"
	"context"
	"time"

	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/clientpath"
	"syntap/stack/netstack"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// Withholds implements netstack.Owner: an ACK without news waits for the far side's answer.
func (c *conn) Withholds(t netstack.Segment, off tun.Offload, frame [][]byte) bool {
	if t.Size > 0 && !c.isLocal && c.prober.IsSentAgain(t) {
		c.noteResent(t, off, frame)
	}
	if c.prober.IsNews(t, c.isn) {
		return false
	}
	s := c.stack
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.phase.Load() == established && c.prober.Withhold(c.fd, off, frame, s.writeInbound)
}

// noteResent keeps a segment that netstack retransmits to the client. Netstack holds the endpoint's
// lock.
func (c *conn) noteResent(t netstack.Segment, off tun.Offload, frame [][]byte) {
	var h packet.Headers
	if h.Parse(frame[0], packet.AnyLength); !h.TCP || h.End > len(frame[0]) {
		return
	}
	now := &clientpath.Segment{
		Headers: bytes.Clone(frame[0][:h.End]), Seq: t.Seq, Size: t.Size, Times: 1,
	}
	if off.GSO != tun.GSONone {
		now.Size = min(t.Size, int(off.GSOSize))
	}
	if before := c.resent.Load(); before != nil && before.Seq == t.Seq && before.Size == now.Size {
		now.Times += before.Times
	}
	c.resent.Store(now)
}

// clientStall returns the state of the client's leg, and whether it waits for anything: for
// acknowledgments of the client, for bytes before those received, or for missing ones of which its
// ACK has told. There is no path to a client on this host.
func (c *conn) clientStall(silent time.Duration, missing uint64) (stall tunflow.Stall, waits bool) {
	if c.isLocal || c.phase.Load() != established {
		return stall, false
	}
	at, ok := netstack.ProgressOf(c.ep)
	if !ok {
		return stall, false
	}
	key := c.name()
	stall = tunflow.Stall{
		Key: key, ClientLeg: true, Remote: key.Client, Silent: silent, Age: time.Since(c.started), Heard: silent,
		AdvMSS:      uint32(max(0, c.clientMTU().MSS(key.Client.Addr().Is6())-timestamps)),
		Outstanding: uint64(at.SndNxt - at.SndUna),
		Received:    uint64(at.RcvNxt - c.isn - 1),
		Missing:     missing,
	}
	if c.seen.has(clientLong) {
		stall.RcvMSS = stall.AdvMSS
	}
	if r := c.resent.Load(); r != nil && r.Seq == at.SndUna && stall.Outstanding > 0 {
		stall.SndMSS, stall.Packet = uint32(r.Size), len(r.Headers)+r.Size
		stall.Backoff, stall.Retransmits = uint32(r.Times), uint32(r.Times)
		stall.Unacked = uint32((stall.Outstanding + uint64(r.Size) - 1) / uint64(max(1, r.Size)))
	}
	if c.ep.Readiness(waiter.ReadableEvents)&waiter.ReadableEvents == 0 { // else the far side does not read
		stall.Held = uint64(netstack.ReceiveMemory(c.ep))
	}
	c.stack.mu.Lock()
	stall.Opening, stall.Clamped, stall.Acked = c.opening, c.mss > 0, uint64(at.SndUna-c.serverISN-1)
	c.stack.mu.Unlock()
	return stall, stall.Outstanding > 0 || stall.Held > 0 || missing > 0
}

// clientMTU is the size of a full packet on the client's leg.
func (c *conn) clientMTU() packet.MTU {
	return packet.MTU(c.stack.paths.SegmentMTU(c.key.client.Addr()))
}

// timestamps is the length of the TCP option, which most segments have (RFC 7323 §3.2).
const timestamps = 12

// ErrNoProbe means that a connection is no longer stuck, or that its client does not report which
// old segments have arrived.
var ErrNoProbe = clientpath.ErrNoProbe

// ProbeClient sends packets of several sizes to the client of a connection whose segments are
// stuck, and reports which have reached it. The others may be lost by chance.
func (s *Stack) ProbeClient(
	ctx context.Context, k tunflow.Key, sizes []int,
) (reached []bool, err error) {
	key := connKey{client: k.Client, server: k.Server}
	s = s.home(key)
	stuck := s.resentTo(key, k.ISN)
	if stuck == nil {
		return nil, ErrNoProbe
	}
	write := func(packet []byte) { s.writeInbound(tun.Offload{}, packet) }
	return s.probes.Run(ctx, k.Client, k.Server, stuck, sizes, write)
}

// resentTo returns the segment that is stuck on its way to a client, or nil.
func (s *Stack) resentTo(key connKey, isn uint32) *clientpath.Segment {
	s.mu.Lock()
	c := s.conns[key]
	if c == nil || c.isn != isn || c.phase.Load() != established {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	at, ok := netstack.ProgressOf(c.ep)
	if r := c.resent.Load(); ok && r != nil && r.Seq == at.SndUna {
		return r
	}
	return nil
}
