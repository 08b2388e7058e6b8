package tracker_test

import (
	"net/netip"
	"testing"
	"time"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// FuzzCapture plays segments of a few flows, with numbers that often fit, in any order: five bytes
// for each. A record has a SYN of its own, and nothing is left of the handshakes in the end.
func FuzzCapture(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 2, 1, 2, 1})                               // S SA A
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 3, 0, 1, 1, 1, 0, 1, 1, 0, 2, 1, 2, 1, 1, 3, 0, 4, 9}) // another SYN
	f.Add([]byte{1, 1, 0, 1, 1, 0, 2, 1, 1, 1, 0, 0, 0, 0, 1, 1, 3, 0, 1, 1, 2, 5, 1, 1, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		var rec taptest.Recorder
		o := rec.Options()
		o.HalfOpen = 5
		tr := tracker.New(o)
		at, syns := taptest.Epoch, 0
		flags := [...]uint8{
			packet.SYN, packet.SYN | packet.ACK, packet.ACK, packet.RST | packet.ACK, packet.RST,
			packet.FIN | packet.ACK, packet.PSH | packet.ACK, packet.SYN | packet.FIN,
		}
		numbers := [...]uint32{1000, 1001, 5000, 5001, 7777, 1101, 5501, 0}
		for ; len(script) >= 5; script = script[5:] {
			at = at.Add(time.Duration(int8(script[4])) * time.Duration(script[4]) * time.Millisecond)
			s := tuntest.TCP{
				Src: taptest.Client, Dst: taptest.Server, Flags: flags[script[1]%8],
				Seq: numbers[script[2]%8], Ack: numbers[script[3]%8],
			}
			s.Src = netip.AddrPortFrom(s.Src.Addr(), 40000+uint16(script[0]>>2%4))
			if s.Flags&packet.PSH != 0 {
				s.Payload = make([]byte, 100)
			}
			if script[0]&1 != 0 {
				s.Src, s.Dst = s.Dst, s.Src
			}
			b := s.Packet()
			if script[0]&0x80 != 0 && script[0]&2 != 0 {
				b = tuntest.ICMP{Src: taptest.Server.Addr(), Dst: s.Src.Addr(), Type: 3, Code: 1, Payload: b}.Packet()
			} else if s.Flags&(packet.SYN|packet.ACK|packet.RST) == packet.SYN {
				syns++
			}
			tr.Observe(at, &tcpdump.Packet{Data: b, Length: len(b)})
			if script[0]&0x42 == 0x42 {
				tr.Settle()
			}
			if n := tr.HalfOpen() + tr.Count(tracker.StateSettling); n < 0 || n > 300 {
				t.Fatalf("%d handshakes are open", n)
			}
		}
		tr.Flush()
		if n := tr.HalfOpen() + tr.Count(tracker.StateSettling); n != 0 {
			t.Errorf("%d handshakes are left", n)
		}
		if len(rec.Records) > syns {
			t.Errorf("%d records of %d SYNs", len(rec.Records), syns)
		}
		for _, r := range rec.Records {
			if r.Outcome == "" || len(r.Segments) == 0 || r.Conflict != 0 && r.Outcome != handshake.Established ||
				(r.AbortedBy != "") != (r.Outcome == handshake.Aborted) {
				t.Errorf("record %s %+v", taptest.Describe(r), r)
			}
		}
	})
}
