//go:build linux

package stack

import (
	"syntap/stack/clientpath"
	"syntap/stack/netstack"
	"syntap/tun"
	"syntap/tun/packet"
)

// bodySize is the part of the longest frame that does not fit into the head; it is just below
// netstack's largest chunk.
const bodySize = tun.MaxFrame - tun.HeadSize

// copyBelow is the payload size below which a copy into a view of that size is cheaper than giving
// away the 64 KiB body.
const copyBelow = 4 << 10

// copyScarce is the same when memory is scarce: the body is four times as long as the first
// segments of a connection.
const copyScarce = 32 << 10

// yieldAfter is the number of bytes that the read loop reads before it yields. It is many times the
// budget of a step, because every frame that clients send meanwhile queues behind the unread ones.
const yieldAfter = 4 << 20

// readLoop reads outbound frames until the link ends. A frame's headers have a view of their own
// (see netstack.Stack.Deliver).
func (s *Stack) readLoop() error {
	head, body := netstack.NewView(tun.HeadSize), netstack.NewBody(bodySize)
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
		if !s.route(&in, false) {
			continue // the views are still ours
		}
		payload := body
		switch {
		case len(in.Body) == 0:
			payload = nil
			head.CapLength(n)
		case len(in.Body) <= copyBelow, len(in.Body) <= copyScarce && s.memory.Scarce():
			payload = netstack.CopyView(in.Body)
		default:
			payload.CapLength(len(in.Body))
			body = netstack.NewBody(bodySize)
		}
		s.netFor(&in.Headers, in.Head).Deliver(head, payload)
		head = netstack.NewView(tun.HeadSize)
	}
}

// routeReassembled routes a packet that netstack has put together from fragments or freed from
// extension headers.
func (s *Stack) routeReassembled(b []byte) {
	n := min(len(b), tun.HeadSize)
	f := tun.Frame{Head: b[:n], Body: b[n:]}
	f.Parse()
	s.route(&f, true)
}

// route handles a frame, or reports that it is for netstack. reassembled means that netstack has
// put it together.
func (s *Stack) route(f *tun.Frame, reassembled bool) (deliver bool) {
	h := &f.Headers
	if h.Problem == packet.Malformed {
		s.stats.DropMalformed.Add(1)
		return false
	}
	if !reassembled && (h.Proto != packet.ProtoUDP || !h.Plain()) { // before its fragments, too
		s.nat.Flush()
	}
	if !h.Plain() {
		return true // netstack reassembles, and walks extension headers
	}
	verified := f.Offload.Flags&(tun.NeedsCsum|tun.DataValid) != 0
	if !verified && !h.ChecksumOK(f.Head, f.Body) {
		s.stats.DropChecksum.Add(1)
		return false
	}
	v6, icmp := h.Version == 6, uint8(packet.ProtoICMP)
	if v6 {
		icmp = packet.ProtoICMPv6
	}
	switch h.Proto {
	case packet.ProtoTCP:
		return s.routeTCP(f)
	case packet.ProtoUDP:
		s.sched.NoteInteractive()
		s.nat.UDP(f, reassembled)
	case icmp:
		s.sched.NoteInteractive()
		if m := f.Head[h.Offset:]; clientpath.IsTooBig(v6, m) {
			s.routeTooBig(v6, m)
		} else {
			s.nat.Echo(f, reassembled)
		}
	default:
		s.stats.DropProtocol.Add(1)
	}
	return false
}

func (s *Stack) routeTCP(f *tun.Frame) (deliver bool) {
	if !f.Headers.TCP {
		s.stats.DropMalformed.Add(1)
		return false
	}
	client, server := f.Headers.Ends(f.Head)
	key := connKey{client: client, server: server}
	if f.Headers.Flags&(packet.SYN|packet.ACK) != packet.SYN {
		if dscp := dscpOf(f.Head); dscp != 0 || s.markedFlows.Load() > 0 {
			s.followDSCP(key, dscp)
		}
		if f.Headers.Flags&(packet.FIN|packet.RST) != 0 && s.o.ClientEnds != nil {
			s.o.ClientEnds(client)
		}
		if s.probes.Active() {
			s.probes.Note(client, server, f)
		}
		if s.asked.Active() {
			s.asked.Note(client, server, &f.Headers)
		}
		return true
	}
	return s.outboundSYN(key, f)
}
