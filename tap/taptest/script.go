// Package taptest plays handshakes for the tests of tap and tap/handshake: a script of segments,
// the records that come of it, and a line for each record.
package taptest

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// The ends of the handshakes, and a time for the first of them.
var (
	Client = netip.MustParseAddrPort("192.0.2.1:40000")
	Server = netip.MustParseAddrPort("198.51.100.2:443")
	Epoch  = time.Unix(1_700_000_000, 0)
)

// Handshake is the script of an ordinary handshake.
const Handshake = "> S 1000\n< SA 5000 1001\n> A 1001 5001\n"

// Step is one segment of a script.
type Step struct {
	FromServer bool
	TCP        tuntest.TCP
	After      time.Duration // since the previous one
}

// Script reads segments, one a line: the direction (> is the client's), flags as letters, then seq,
// ack, payload length ("len 10") and the time since the previous segment ("+500ms", else 1 ms), all
// but seq optional.
//
//	> S 1000
//	< SA 5000 1001
//	> A 1001 5001 len 10
func Script(tb testing.TB, text string) []Step {
	tb.Helper()
	var steps []Step
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		s := Step{FromServer: words[0] == "<", After: time.Millisecond}
		s.TCP = tuntest.TCP{Src: Client, Dst: Server, Window: 64240}
		if s.FromServer {
			s.TCP.Src, s.TCP.Dst = Server, Client
		}
		for _, letter := range words[1] {
			s.TCP.Flags |= 1 << strings.IndexRune(flagLetters, letter)
		}
		numbers := []*uint32{&s.TCP.Seq, &s.TCP.Ack}
		for i := 2; i < len(words); i++ {
			var err error
			switch {
			case words[i] == "len":
				i++
				var n int
				n, err = strconv.Atoi(words[i])
				s.TCP.Payload = make([]byte, n)
			case words[i][0] == '+' || words[i][0] == '-':
				s.After, err = time.ParseDuration(words[i])
			default:
				var n uint64
				n, err = strconv.ParseUint(words[i], 10, 32)
				*numbers[0], numbers = uint32(n), numbers[1:]
			}
			if err != nil {
				tb.Fatalf("script line %q: %v", line, err)
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// SYN is the first segment of Handshake, with an MSS option.
func SYN() tuntest.TCP {
	return tuntest.TCP{
		Src: Client, Dst: Server, Seq: 1000, Flags: tuntest.SYN, Window: 64240,
		Options: []byte{2, 4, 5, 180},
	}
}

// SYN6 is the same over IPv6.
func SYN6() tuntest.TCP {
	s := SYN()
	s.Src = netip.MustParseAddrPort("[2001:db8::1]:40000")
	s.Dst = netip.MustParseAddrPort("[2001:db8:1::2]:443")
	return s
}

// Edit returns a copy of b with the byte at i changed.
func Edit(b []byte, i int, v byte) []byte {
	b = slices.Clone(b)
	b[i] = v
	return b
}
