package tap

import (
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
		s.Partial = true
		return int(off.CsumStart) == s.Offset && off.CsumOffset == packet.TCPChecksum
	}
	if off.Flags&tun.DataValid != 0 {
		return true
	}
	off.Flags |= tun.DataValid
	return s.ChecksumOK(f.Head, f.Body)
}
