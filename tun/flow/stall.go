package flow

import (
	"net/netip"
	"time"
)

// Stall is a TCP connection that makes no progress, though its client or its server has something
// to say, as the kernel has it of the host's own socket (Linux, include/uapi/linux/tcp.h). Sizes
// are payload in bytes.
type Stall struct {
	Key    Key
	Remote netip.AddrPort // that was dialled
	Silent time.Duration  // without a byte in either direction, in whole looks of a second

	Opening any // as in Flow; nil = unknown

	Clamped     bool   // a rule has bounded the MSS of its socket
	AdvMSS      uint32 // announced to the server, less options
	SndMSS      uint32 // of a full segment to the server
	RcvMSS      uint32 // of the longest segment from it; Linux begins at 536
	Unacked     uint32 // segments to the server
	Sacked      uint32 // those of them that are acknowledged selectively
	Backoff     uint32 // retransmission timeouts in a row
	Retransmits uint32 // of the connection
	OutOfOrder  uint32 // segments that came behind a hole, of the connection
	Held        uint64 // bytes of memory that wait behind a hole now
	Outstanding uint64 // sent and not acknowledged
	Acked       uint64
	SentFull    bool   // the average of the segments acknowledged is nearly a full one
	Received    uint64 // in order
	Segments    uint32 // with payload, from the server
}

// HidesUp reports whether the stall may be that of a path on which full segments to the server
// vanish: such ones are outstanding and were sent again at least twice, and those acknowledged so
// far were shorter.
func (s *Stall) HidesUp() bool {
	return s.Backoff >= 2 && s.Outstanding >= uint64(s.SndMSS) && s.SndMSS > 0 && !s.SentFull
}

// HidesDown reports whether the stall may be that of a path on which full segments from the server
// vanish: all that the client has sent is acknowledged, no full segment has come, and bytes wait
// behind a hole, or nothing has come at all.
func (s *Stall) HidesDown() bool {
	return s.Unacked == 0 && !s.GotFull() && s.Acked > 0 && (s.Held > 0 || s.Received == 0)
}

// GotFull reports whether a full segment has come from the server.
func (s *Stall) GotFull() bool { return s.RcvMSS >= s.AdvMSS }
