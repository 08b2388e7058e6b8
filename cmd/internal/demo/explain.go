//go:build linux

package demo

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"syntap/tap/handshake"
)

// explain prints the lines of a handshake and their meaning.
func explain(w io.Writer, r *handshake.Record, lines string) error {
	var b bytes.Buffer
	x, y := r.ClientISN, r.ServerISN
	fmt.Fprintf(&b, `A client, a router and a server, each in its own corner of this machine:

    client %s ══ TUN ══ syntap ── socket ── server %s

The client has just opened a connection to port %d. The tap on the TUN saw:

%s
Line by line, with x and y for the two sequence numbers that are made up:

1. SYN, client to server: "I want to talk, and I count my bytes from x."
`, r.Client.Addr(), r.Server.Addr(), r.Server.Port(), indent(lines))
	item(&b, fmt.Sprintf("S %d:%d(0)", x, x), fmt.Sprintf("the SYN flag; x = %d, the client's initial "+
		"sequence number; (0): the segment carries no data yet", x))
	offer(&b, &r.SYN, "client")
	fmt.Fprintf(&b, `
2. SYN-ACK, server to client: "I heard x. I count mine from y."
`)
	item(&b, fmt.Sprintf("S %d:%d(0)", y, y), fmt.Sprintf("y = %d, the server's initial sequence number", y))
	item(&b, fmt.Sprintf("ack %d", x+1), "x+1, the next number the server expects: the SYN itself counts for one")
	offer(&b, r.SYNACK, "server")
	fmt.Fprintf(&b, `
3. ACK, client to server: "I heard y." Now the connection is open.
`)
	item(&b, ".", "no flag but ACK")
	item(&b, fmt.Sprintf("ack %d", y+1), "y+1, the next number the client expects")
	scaledWindow(&b, r)
	fmt.Fprintf(&b, `
syntap dialled the server before it answered the client. SYN to SYN-ACK took
%d µs, SYN-ACK to ACK %d µs.

More handshakes:
    syntap exec -- curl -sS http://example.com/   those of a real command
    syntap replay FILE                            those of a capture
`, max(r.SYNACKDelay, 0).Microseconds(), max(r.ACKDelay, 0).Microseconds())
	_, err := w.Write(b.Bytes())
	return err
}

// offer explains the announcement of one side.
func offer(b *bytes.Buffer, o *handshake.Offer, side string) {
	item(b, fmt.Sprintf("win %d", o.Window), fmt.Sprintf("the %s has room for %d bytes", side, o.Window))
	if o.MSS != nil {
		item(b, fmt.Sprintf("mss %d", *o.MSS), fmt.Sprintf("it takes segments of up to %d bytes: "+
			"a packet of %d without its 40 bytes of headers", *o.MSS, int(*o.MSS)+40))
	}
	var more []string
	if o.SACKOK {
		more = append(more, "sackOK: it can name gaps in what it received")
	}
	if o.Timestamp != nil {
		more = append(more, "timestamp: its clock, to measure round trips")
	}
	if o.WScale != nil {
		more = append(more, fmt.Sprintf("wscale %d: later windows count in units of %d bytes", *o.WScale, 1<<*o.WScale))
	}
	for _, m := range more {
		name, meaning, _ := strings.Cut(m, ": ")
		item(b, name, meaning)
	}
	if o.DF {
		item(b, "(DF)", "don't fragment: a router that finds the packet too big must say so instead of cutting it")
	} else {
		item(b, "no (DF)", "routers may cut the packet in pieces")
	}
}

// scaledWindow explains the window of the last line: from the third segment on it is scaled,
// if both sides have offered a scale (RFC 7323 §2.2).
func scaledWindow(b *bytes.Buffer, r *handshake.Record) {
	h := r.Segments[len(r.Segments)-1].Header()
	if h == nil {
		return
	}
	window := int(binary.BigEndian.Uint16(h[14:])) // RFC 9293 §3.1
	meaning := fmt.Sprintf("the client has room for %d bytes", window)
	if r.SYN.WScale != nil && r.SYNACK.WScale != nil {
		unit := 1 << *r.SYN.WScale
		meaning = fmt.Sprintf("room for %d bytes: its scale counts from here on, %d × %d", window*unit, window, unit)
	}
	item(b, fmt.Sprintf("win %d", window), meaning)
}

// Width of the explanations, and of the column before them.
const (
	columns   = 80
	nameWidth = 29
)

// item prints a word of a line and its meaning, wrapped.
func item(b *bytes.Buffer, name, meaning string) {
	fmt.Fprintf(b, "     %-*s", nameWidth, name)
	at := 5 + nameWidth
	for i, word := range strings.Fields(meaning) {
		switch {
		case i == 0:
		case at+1+utf8.RuneCountInString(word) > columns:
			fmt.Fprintf(b, "\n%*s", 5+nameWidth, "")
			at = 5 + nameWidth
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += utf8.RuneCountInString(word)
	}
	b.WriteByte('\n')
}

func indent(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("    " + line)
	}
	return b.String()
}
