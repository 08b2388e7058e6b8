package tap

import (
	"encoding/binary"

	"syntap/tun"
	"syntap/tun/packet"
)

// verify checks the checksums of the segment in f, except one that the sender has left to the
// receiver, and notes in f that the TCP checksum is right: no reader sums again.
func (s *segment) verify(f *tun.Frame) bool {
	if s.Version == 4 && !packet.IPv4HeaderIntact(f.Head[:s.HeaderLen]) {
		return false
	}
	off := &f.Offload
	if off.Flags&tun.NeedsCsum != 0 {
		s.partial = true
		return int(off.CsumStart) == s.Offset && off.CsumOffset == packet.TCPChecksum
	}
	if off.Flags&tun.DataValid != 0 {
		return true
	}
	off.Flags |= tun.DataValid
	return s.ChecksumOK(f.Head, f.Body)
}

// finishChecksum does in a TCP header without payload what NeedsCsum leaves undone: the field holds
// the sum of the pseudo-header.
func finishChecksum(h []byte) {
	binary.BigEndian.PutUint16(h[packet.TCPChecksum:], ^packet.Checksum(h, 0))
}
