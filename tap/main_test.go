package tap

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"syntap/tap/tracker/tuple"
	"syntap/tun/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parseSegment returns the segment of a packet of n bytes that begins with b.
func parseSegment(b []byte, n int, d packet.Direction) *segment {
	s := &segment{Packet: tuple.Packet{Headers: new(packet.Headers)}}
	s.Parse(b, n)
	if s.TCP {
		s.Locate(b, d)
	}
	return s
}

// fields splits the expected fates of a script.
func fields(text string) []string { return strings.Fields(text) }
