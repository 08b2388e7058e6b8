package flow

import (
	"net/netip"
	"time"
)

// Stall is one leg of a TCP connection that makes no progress, though one of its ends has something
// to say: that to the server as the kernel has it of the host's own socket (Linux,
// include/uapi/linux/tcp.h), or that to the client as netstack has it. Sizes are payload in bytes.
type Stall struct {
	Key       Key
	ClientLeg bool           // Sacked, OutOfOrder, SentFull and Segments are unknown of it
	Remote    netip.AddrPort // that was dialled; of the client's leg the client
	Silent    time.Duration  // without a byte in either direction, in whole looks of a second
	Age       time.Duration  // since its client's SYN

	Opening Opening // as in Flow; nil = unknown

	Clamped     bool   // a rule has bounded the MSS of its socket
	AdvMSS      uint32 // announced to the far end of the leg, less options
	SndMSS      uint32 // of a full segment to it; to a client, of the segment that was sent again
	Packet      int    // of the client's leg: the IP packet of that segment
	RcvMSS      uint32 // of the longest segment from it; Linux begins at 536; of a client AdvMSS, or 0 if only packets up to 1280 bytes
	Unacked     uint32 // segments to it
	Sacked      uint32 // those of them that are acknowledged selectively
	Backoff     uint32 // retransmission timeouts in a row
	Retransmits uint32 // of the connection
	OutOfOrder  uint32 // segments that came behind a hole, of the connection
	Held        uint64 // bytes of memory that wait behind a hole now
	Outstanding uint64 // sent and not acknowledged
	Acked       uint64
	Heard       time.Duration // since the last acknowledgment of the far end
	SentFull    bool          // the average of the segments acknowledged is nearly a full one, with DF
	Received    uint64        // in order
	Segments    uint32        // with payload, from the far end
	Incomplete  bool          // less has come than the head of an HTTP answer says
	Missing     uint64        // bytes at least that the far end has sent and that have not come, by its ACK; 0 = unknown
}

// HidesUp reports whether the stall may be that of a path on which full segments to the far end
// vanish: such ones are outstanding and were sent again at least twice, and those acknowledged so
// far were shorter.
func (s *Stall) HidesUp() bool { return s.LosesUp() && !s.SentFull }

// LosesUp is the same of a path that may have become narrow: full segments may have passed before.
func (s *Stall) LosesUp() bool {
	return s.Backoff >= 2 && s.Outstanding >= uint64(s.SndMSS) && s.SndMSS > 0
}

// LosesDown reports whether segments from a server vanish, by a path that may have become narrow:
// shorter ones have come behind them, or its ACKs tell.
func (s *Stall) LosesDown() bool {
	return !s.ClientLeg && s.Unacked == 0 && (s.Held > 0 || s.Missing > 0)
}

// HidesDown reports whether the stall may be that of a path on which full segments from the far end
// vanish. From a server: all that the client has sent is acknowledged, no full segment has come,
// and bytes wait behind a hole, nothing has come at all, or a head alone, or the server's ACKs tell
// that more is on its way. From a client, which may have nothing to say: bytes wait behind a hole,
// and less than a full segment has come before it; or its ACKs tell.
func (s *Stall) HidesDown() bool {
	if s.ClientLeg {
		return s.Held > 0 && s.Received < uint64(s.AdvMSS) || s.Missing > 0 && !s.GotFull()
	}
	return s.Unacked == 0 && !s.GotFull() && s.Acked > 0 && (s.Held > 0 || s.Received == 0 || s.Incomplete || s.Missing > 0)
}

// GotFull reports whether a full segment has come from the far end.
func (s *Stall) GotFull() bool { return s.RcvMSS >= s.AdvMSS }
