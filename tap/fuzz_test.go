package tap

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// FuzzFrame gives any bytes to a tap and a tracker, as a frame in either direction and as a
// captured packet.
func FuzzFrame(f *testing.F) {
	for _, b := range [][]byte{
		taptest.SYN().Packet(), taptest.SYN6().Packet(),
		chain(taptest.SYN6().Packet(), hopByHop, destOptions, routing, atomicPiece),
		chain(taptest.SYN6().Packet(), auth), chain(taptest.SYN6().Packet(), laterPiece),
		tuntest.ICMP{Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Payload: taptest.SYN().Packet()}.Packet(),
	} {
		f.Add(b, uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		if len(b) > tun.MaxFrame {
			return
		}
		captured := b[:len(b)-min(len(b), int(cut))]
		head := b[:min(len(b), tun.HeadSize)]
		if s := parseSegment(head, len(b), packet.Outbound); s.TCP {
			a1, b1 := s.Flow.Ends()
			if b2, a2 := parseSegment(head, len(b), packet.Inbound).Flow.Ends(); a1 != a2 || b1 != b2 {
				t.Errorf("%x: ends %v, %v outbound, %v, %v inbound", b, a1, b1, a2, b2)
			}
			if src, dst := s.Ends(head); src != a1 || dst != b1 {
				t.Errorf("%x: ends %v, %v, headers have %v, %v", b, a1, b1, src, dst)
			}
		}

		tr := tracker.New(tracker.Options{OnRecord: func(*handshake.Record) {}, OnSegment: func(flow.Key, handshake.Segment) {}})
		tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: captured, Length: len(b)})
		tr.Flush()

		w := newWorld(t, Options{})
		if len(b) > 0 {
			if err := w.tap.WriteFrame(tun.Offload{}, [][]byte{slices.Clone(b)}); err != nil {
				t.Error(err)
			}
		}
		if got, reason := w.send(tuntest.Frame{Data: b}); reason == "" && len(got.Data) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(got.Data))
		}
	})
}

// Operations of FuzzNetstack, four bytes each: the operation and the flow, then three arguments.
const (
	opSegment  = iota // flags, seq and ack relative to the right ones
	opDisguise        // the same, with IP options or extension headers
	opPieces          // the same, in two fragments
	opTail            // the same, with bytes behind its end
	opMangle          // the same, with one byte changed and its checksum vouched for
	opPayload         // the same, with data
	opSYNAgain        // a SYN with another number
	opDial            // how the next dials end
	opWait            // time passes
	opGiveUp          // netstack gives up the endpoints that wait for a third segment
	opICMP            // an error from the client's side
	ops
)

// FuzzNetstack sends any frames through the tap to a netstack that accepts everything. Each
// connection that netstack establishes has exactly one record that says so, and there is no other
// such record.
func FuzzNetstack(f *testing.F) {
	const synFlags, ackFlags = tuntest.SYN, tuntest.ACK
	f.Add([]byte{opSegment, synFlags, 0, 0, opSegment, ackFlags, 1, 1})
	f.Add([]byte{opSegment, synFlags, 0, 0, opSegment, ackFlags, 1, 200, opSegment, ackFlags, 5, 1, opSegment, tuntest.RST, 3, 0})
	f.Add([]byte{opSegment, synFlags, 0, 0, opSegment, tuntest.RST, 1, 0, opSegment, ackFlags, 1, 1})
	f.Add([]byte{opSegment, synFlags, 0, 0, opSYNAgain, 7, 0, 0, opSegment, ackFlags, 1, 1, opSegment, tuntest.RST, 1, 0})
	f.Add([]byte{opPieces, synFlags, 1, 0, opPieces, synFlags, 1, 1, opDisguise | 16, synFlags, 0, 1, opTail, synFlags, 0, 0})
	f.Add([]byte{opDial, 1, 0, 0, opSegment, synFlags, 0, 0, opDial, 0, 0, 0, opSegment, synFlags, 0, 0, opPayload, ackFlags, 1, 1})
	f.Add([]byte{opSegment, synFlags, 0, 0, opWait, 6, 0, 0, opSegment, ackFlags, 1, 1, opGiveUp, 0, 0, 0, opSegment, ackFlags, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newNetRouter(t, Options{})
		for i := 0; len(script) >= 4 && i < 64; i++ {
			r.operate([4]byte(script))
			script = script[4:]
		}
		r.verify()
	})
}

// operate runs one operation of FuzzNetstack.
func (r *netRouter) operate(op [4]byte) {
	s := taptest.SYN()
	if op[0]&16 != 0 {
		s = taptest.SYN6()
	}
	s.Src = netip.AddrPortFrom(s.Src.Addr(), s.Src.Port()+uint16(op[0]>>5&1))
	s.Flags = op[1]
	s.Seq += uint32(int8(op[2]))
	s.Ack = r.serverISN(s.Src) + uint32(int8(op[3]))
	if s.Flags&tuntest.SYN == 0 || op[3]&64 != 0 {
		s.Options = nil
	}
	b := s.Packet()
	switch op[0] % 16 % ops {
	case opSegment:
		r.send(tuntest.Frame{Data: b})
	case opDisguise:
		r.send(tuntest.Frame{Data: disguise(s, b, op[3])})
	case opPieces:
		for _, piece := range pieces(b, op[2], op[3]&1 != 0) {
			r.send(tuntest.Frame{Data: piece})
		}
	case opTail:
		r.send(tuntest.Frame{Data: append(b, "tail"...)})
	case opMangle:
		b[int(op[2])%len(b)] ^= op[3]
		r.send(tuntest.Frame{Data: b, Offload: tun.Offload{Flags: tun.DataValid}})
	case opPayload:
		s.Payload = make([]byte, op[1])
		r.send(tuntest.Frame{Data: s.Packet()})
	case opSYNAgain:
		s.Seq, s.Flags = uint32(op[1])*1000, tuntest.SYN
		r.send(tuntest.Frame{Data: s.Packet()})
	case opDial:
		r.mu.Lock()
		r.answer = []flow.Answer{flow.Connected, flow.NoReply, flow.Refused, flow.Denied}[op[1]%4]
		r.mu.Unlock()
	case opWait:
		// Only the tap's clock advances. Netstack's, by which it gives up after 127 s, does not.
		if d := time.Duration(op[1]) * time.Second; r.now().Add(d).Before(taptest.Epoch.Add(2 * time.Minute)) {
			r.wait(d)
		}
	case opGiveUp:
		r.catchUp()
		r.giveUp()
	case opICMP:
		r.send(tuntest.Frame{Data: tuntest.ICMP{Src: s.Src.Addr(), Dst: s.Dst.Addr(), Type: op[1], Code: op[2], Payload: reversed(s)}.Packet()})
	}
}

// disguise puts options or extension headers between IP and TCP.
func disguise(s tuntest.TCP, b []byte, how byte) []byte {
	if s.Src.Addr().Is4() {
		s.IP.Options = slices.Repeat([]byte{1}, int(how)%11*4)
		return s.Packet()
	}
	headers := [][]byte{hopByHop, destOptions, routing, routingLeft, atomicPiece, auth, experiment, firstPiece}
	return chain(b, headers[how%8], headers[how/8%8])
}

// pieces cuts a packet into two fragments at a multiple of eight bytes.
func pieces(b []byte, where byte, lastFirst bool) [][]byte {
	var all [][]byte
	if b[0]>>4 == 4 {
		payload := b[20:]
		cut := min(len(payload)/8*8, 8+int(where)%3*8)
		first := tuntest.IP{ID: 7, Fragment: 0x2000}
		second := tuntest.IP{ID: 7, Fragment: uint16(cut / 8)}
		all = [][]byte{
			first.Packet(taptest.Client.Addr(), taptest.Server.Addr(), 6, payload[:cut]),
			second.Packet(taptest.Client.Addr(), taptest.Server.Addr(), 6, payload[cut:]),
		}
	} else {
		payload := b[40:]
		cut := min(len(payload)/8*8, 8+int(where)%3*8)
		head := b[:40]
		all = [][]byte{
			chain(slices.Concat(head, payload[:cut]), firstPiece),
			chain(slices.Concat(head, payload[cut:]), taptest.Edit(laterPiece, 3, byte(cut))),
		}
	}
	if lastFirst {
		slices.Reverse(all)
	}
	return all
}
