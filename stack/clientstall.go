//go:build linux

package stack

import (
	"bytes"
	"time"

	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/netstack"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// resent is the last segment that was sent to a client once more.
type resent struct {
	headers []byte // of IP and TCP, as they were sent
	seq     uint32
	size    int // payload of one segment
	times   int // that the segment has been sent again
}

// noteResent takes a segment that netstack sends to the client again. Netstack holds the endpoint's
// lock.
func (c *conn) noteResent(t netstack.Segment, off tun.Offload, frame [][]byte) {
	var h packet.Headers
	if h.Parse(frame[0], packet.AnyLength); !h.TCP || h.End > len(frame[0]) {
		return
	}
	now := &resent{headers: bytes.Clone(frame[0][:h.End]), seq: t.Seq, size: t.Size, times: 1}
	if off.GSO != tun.GSONone {
		now.size = min(t.Size, int(off.GSOSize))
	}
	if before := c.resent.Load(); before != nil && before.seq == t.Seq && before.size == now.size {
		now.times += before.times
	}
	c.resent.Store(now)
}

// clientStall returns the state of the client's leg, and whether it waits for anything: bytes that
// the client has not acknowledged, or bytes before those that have come. There is no path to a
// client on this host.
func (c *conn) clientStall(silent time.Duration) (stall tunflow.Stall, waits bool) {
	if c.isLocal || c.phase.Load() != established {
		return stall, false
	}
	at, ok := netstack.ProgressOf(c.ep)
	if !ok {
		return stall, false
	}
	key := c.name()
	mtu := packet.MTU(c.stack.paths.SegmentMTU(key.Client.Addr()))
	stall = tunflow.Stall{
		Key: key, ClientLeg: true, Remote: key.Client, Silent: silent,
		AdvMSS:      uint32(max(0, mtu.MSS(key.Client.Addr().Is6())-timestamps)),
		Outstanding: uint64(at.SndNxt - at.SndUna),
		Received:    uint64(at.RcvNxt - c.isn - 1),
	}
	if r := c.resent.Load(); r != nil && r.seq == at.SndUna && stall.Outstanding > 0 {
		stall.SndMSS, stall.Packet = uint32(r.size), len(r.headers)+r.size
		stall.Backoff, stall.Retransmits = uint32(r.times), uint32(r.times)
		stall.Unacked = uint32((stall.Outstanding + uint64(r.size) - 1) / uint64(max(1, r.size)))
	}
	if c.ep.Readiness(waiter.ReadableEvents)&waiter.ReadableEvents == 0 { // else the far side does not read
		stall.Held = uint64(netstack.ReceiveMemory(c.ep))
	}
	c.stack.mu.Lock()
	stall.Opening, stall.Clamped, stall.Acked = c.opening, c.mss > 0, uint64(at.SndUna-c.serverISN-1)
	c.stack.mu.Unlock()
	return stall, stall.Outstanding > 0 || stall.Held > 0
}

// timestamps is the length of the TCP option, which most segments have (RFC 7323 §3.2).
const timestamps = 12
