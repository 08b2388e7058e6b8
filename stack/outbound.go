//go:build linux

package stack

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"syntap/stack/netstack"
	"syntap/tun"
)

const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
)

// bodySize holds what of the longest frame does not fit the head; it is just below netstack's
// largest chunk.
const bodySize = tun.MaxFrame - tun.HeadSize

// copyBelow is the payload size up to which copying into a view of its own size is cheaper than
// giving the 64 KiB body away and clearing a new one.
const copyBelow = 4 << 10

// copyScarce is the same where memory is: the body would be four times the first segments of a
// connection.
const copyScarce = 32 << 10

// yieldAfter is how many bytes the read loop reads before it yields. Unread frames wait behind all
// that clients still send, so it is many times the budget of a step.
const yieldAfter = 4 << 20

// readLoop reads outbound frames until the link ends. A frame's headers have a view of their own (see
// netstack.Stack.Deliver).
func (s *Stack) readLoop() error {
	head, body := netstack.NewView(tun.HeadSize), netstack.NewView(bodySize)
	var in tun.Frame
	y := s.sched.NewYielder()
	defer y.Close()
	for {
		in.Head, in.Body = head.AsSlice(), body.AsSlice()
		if err := s.link.ReadFrame(&in); err != nil {
			head.Release()
			body.Release()
			return err
		}
		n := in.Len()
		y.Moved(n, yieldAfter)
		if n <= tun.HeadSize+copyBelow {
			s.busy.Traffic()
		}
		f := frame{head: in.Head, body: in.Body, off: in.Offload}
		if !s.route(&f) {
			continue // the views are still ours
		}
		payload := body
		switch {
		case len(f.body) == 0:
			payload = nil
			head.CapLength(n)
		case len(f.body) <= copyBelow, len(f.body) <= copyScarce && s.memory.scarce():
			payload = buffer.NewViewWithData(f.body)
		default:
			payload.CapLength(len(f.body))
			body = netstack.NewView(bodySize)
		}
		s.net.Deliver(head, payload)
		head = netstack.NewView(tun.HeadSize)
	}
}

// frame is one outbound frame: the first bytes with all headers, the rest, and what the kernel left
// undone.
type frame struct {
	head, body []byte
	off        tun.Offload
	ip         ipHeader
	more       int           // other frames that it stands for
	now        time.Duration // when a datagram or echo request came, on nat's clock
	pieces     bool          // netstack has put it together
}

// drop counts a frame that goes no further.
func (f *frame) drop(reason *atomic.Uint64) { reason.Add(uint64(1 + f.more)) }

// slice returns the bytes of a frame from one offset to another, in the two pieces that they lie
// in.
func (f *frame) slice(from, to int) (head, body []byte) {
	n := len(f.head)
	return f.head[min(from, n):min(to, n)], f.body[max(0, from-n):max(0, to-n)]
}

// route looks at a frame and takes care of it, or reports that it is for netstack.
func (s *Stack) route(f *frame) (deliver bool) {
	if !f.ip.parse(f.head, len(f.head)+len(f.body)) {
		s.stats.DropMalformed.Add(1)
		return false
	}
	if f.ip.proto != protoUDP || f.ip.fragment {
		s.nat.flush()
	}
	if f.ip.fragment || f.ip.extended {
		return true // netstack reassembles, and walks extension headers
	}
	if !f.checksumRight() {
		s.stats.DropChecksum.Add(1)
		return false
	}
	switch f.ip.proto {
	case protoTCP:
		return s.routeTCP(f)
	case protoUDP:
		s.sched.NoteInteractive()
		s.nat.routeUDP(f)
	case icmpProto(f.ip.v6):
		s.sched.NoteInteractive()
		if m := f.head[f.ip.len:]; tooBig(f.ip.v6, m) {
			s.routeTooBig(f, m)
		} else {
			s.nat.routeEcho(f)
		}
	default:
		s.stats.DropProtocol.Add(1)
	}
	return false
}

const (
	tcpFlagsAt = 13 // in the TCP header (RFC 9293 §3.1)
	tcpFIN     = 0x01
	tcpSYN     = 0x02
	tcpACK     = 0x10
)

func (s *Stack) routeTCP(f *frame) (deliver bool) {
	t := f.head[f.ip.len:]
	if len(t) < header.TCPMinimumSize {
		s.stats.DropMalformed.Add(1)
		return false
	}
	if t[tcpFlagsAt]&(tcpSYN|tcpACK) != tcpSYN {
		if dscp := dscpOf(f.head); dscp != 0 || s.markedFlows.Load() > 0 {
			s.followDSCP(marked{flowKey{client: f.ip.src(f.head, t), server: f.ip.dst(f.head, t)}, dscp})
		}
		return true
	}
	return s.outboundSYN(flowKey{client: f.ip.src(f.head, t), server: f.ip.dst(f.head, t)}, binary.BigEndian.Uint32(t[4:]), f.head, f.body)
}
