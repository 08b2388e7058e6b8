package stack

import (
	"net/netip"
	"time"
)

// Flow tells how a connection was when it ended.
type Flow struct {
	Client, Server netip.AddrPort // as the client addressed them
	ISN, ServerISN uint32         // of the client's SYN; of the SYN-ACK, as Recorded told
	Started        time.Time      // when the SYN came
	Duration       time.Duration  // until the last of both directions was closed
	Outbound       uint64         // payload bytes that the far side's socket took
	Inbound        uint64         // payload bytes towards the client
	Retransmits    uint64         // segments sent to the client once more
	End            End
}

// End is what began the end of a connection.
type End uint8

const (
	Carrying      End = iota // nothing has, yet
	ClientFIN                // the client had no more to send
	ClientRST                // the client reset
	ClientTimeout            // the client did not acknowledge any more
	ServerFIN                // the far side had no more to send
	ServerRST                // the far side reset
	ServerTimeout            // the far side did not acknowledge any more
	RouterRST                // the router stopped
)
