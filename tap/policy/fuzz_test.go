package policy_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"syntap/tap/policy"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// FuzzRewriteMSS puts any options into a segment that is otherwise right. Nothing but values of MSS
// options, or one option more and the lengths, and checksums may change; the checksums stay right,
// and no MSS that a receiver finds is above the bound.
func FuzzRewriteMSS(f *testing.F) {
	for _, list := range optionLists() {
		f.Add(list.options, []byte(nil), uint16(1360), false, false, true, false)
	}
	f.Add(mss(1460), []byte("hello"), uint16(536), true, true, false, true)
	f.Fuzz(func(t *testing.T, options, payload []byte, limit uint16, is6, partial, add, drop bool) {
		sent := syn{options: options[:min(len(options), 40)], payload: payload[:min(len(payload), 1400)], is6: is6, flags: tuntest.SYN}
		frame := tuntest.Frame{Data: sent.packet(1024)}
		if partial {
			frame = tuntest.Offloaded(frame.Data, 0)
		}
		limit = max(1, limit)
		rule := policy.MSSRule{Clamp: policy.Clamp(limit), Add: add}
		if drop {
			rule.Malformed = policy.Drop
		}
		rules := compileMSS(t, policy.Options{}, rule)
		s := sent.segment(frame)
		rewrites, verdict := rules.RewriteMSS(nil, s, nil)
		if verdict == policy.Drop {
			if !drop || !bytes.Equal(s.Buf, frame.Data) {
				t.Fatalf("dropped, rule allows that: %t; packet % x, was % x", drop, s.Buf, frame.Data)
			}
			return
		}
		before, after := slices.Clone(frame.Data), slices.Clone(s.Buf)
		finish(after, sent.tcp(), partial)
		if err := tuntest.VerifyChecksums(after); err != nil {
			t.Fatalf("after %+v: %v", rewrites, err)
		}
		first := sent.tcp() + 20
		if len(after) > len(before) {
			if !add || len(payload) > 0 || len(rewrites) != 1 {
				t.Fatalf("option added, rule says so: %t, payload of %d bytes, rewrites %v", add, len(payload), rewrites)
			}
			after = slices.Delete(after, first, first+4)
			after[sent.tcp()+12] -= 0x10
			for _, b := range [][]byte{before, after} {
				clear(b[2:6]) // the lengths, one family's and the other's
			}
		} else {
			restore(after[first:sent.tcp()+int(after[sent.tcp()+12]>>4)*4], before[first:], limit)
		}
		for _, b := range [][]byte{before, after} {
			clear(b[sent.tcp()+16:][:2])
			if !is6 {
				clear(b[10:12])
			}
		}
		if !bytes.Equal(before, after) {
			t.Fatalf("other bytes changed:\nwas %x\nis  %x", before, after)
		}
		if got, ok := lastMSS(s.Buf[first : sent.tcp()+int(s.Buf[sent.tcp()+12]>>4)*4]); ok && got > limit {
			t.Fatalf("a receiver finds the MSS %d, bound %d", got, limit)
		}
	})
}

// finish does what the device does to a frame with NeedsCsum (virtio 1.2 §5.1.6.2).
func finish(b []byte, tcp int, partial bool) {
	if partial {
		binary.BigEndian.PutUint16(b[tcp+16:], ^packet.Checksum(b[tcp:], 0))
	}
}

// restore undoes in options every change that a clamp to limit may make.
func restore(options, before []byte, limit uint16) {
	for i := 0; i+4 <= len(options); i++ {
		old := binary.BigEndian.Uint16(before[i+2:])
		if bytes.Equal(options[i:i+4], mss(limit)) && bytes.Equal(before[i:i+2], []byte{2, 4}) && old > limit {
			binary.BigEndian.PutUint16(options[i+2:], old)
		}
	}
}

// lastMSS reads options as a receiver does: to the first that ends the list, the last MSS counting.
func lastMSS(options []byte) (last uint16, ok bool) {
	for len(options) > 1 && options[0] != 0 {
		n := 1
		if options[0] != 1 {
			if n = int(options[1]); n < 2 || n > len(options) {
				break
			}
			if options[0] == 2 && n == 4 {
				last, ok = binary.BigEndian.Uint16(options[2:]), true
			}
		}
		options = options[n:]
	}
	return last, ok
}

// FuzzHostile has the rules rewrite any bytes.
func FuzzHostile(f *testing.F) {
	for i, s := range syns() {
		if i%20 == 0 {
			f.Add(s.packet(1024), uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, room uint8) {
		rules, err := policy.Compile([]policy.MSSRule{{Clamp: 400, Add: true}}, []policy.DFRule{{Policy: packet.ClearDF}}, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		buf := append(bytes.Clone(b), bytes.Repeat([]byte{0xa5}, 8)...)
		s := parsed(buf[:len(b):len(b)+int(room%8)], packet.Inbound)
		_, _ = rules.RewriteMSS(nil, s, nil)
		if len(s.Buf) > len(b)+int(room%8) || len(s.Buf) < len(b) || len(b) > 0 && &s.Buf[0] != &buf[0] {
			t.Fatalf("%d bytes became %d with room for %d more", len(b), len(s.Buf), room%8)
		}
		if behind := buf[len(s.Buf):]; bytes.Count(behind, []byte{0xa5}) != len(behind) {
			t.Fatalf("bytes behind the segment changed: % x", behind)
		}
		rewrite, verdict := rules.RewriteDF(parsed(s.Buf, packet.Outbound))
		if verdict != policy.Pass || rewrite.Rule > 0 && s.Buf[6]&0x40 != 0 {
			t.Fatalf("%+v, verdict %d, header % x", rewrite, verdict, s.Buf[:20])
		}
	})
}
