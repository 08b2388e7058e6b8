package tcpdump

import "time"

// Printer writes the lines of one output, where a line may depend on those before it. The zero
// value writes the lines of Append in the dialect Classic. A Printer is for one goroutine at a
// time.
type Printer struct {
	Dialect   Dialect
	Timestamp Timestamp
	Relative  bool           // sequence numbers relative to the first ones, as tcpdump without -S
	Location  *time.Location // of clock times; nil means time.Local

	// Conversations is the number of connections whose first sequence numbers are kept for
	// Relative; 0 means 65536, a negative number no limit, as in tcpdump.
	Conversations int

	clock clock
	convs conversations
}

// Append appends the line of p, captured at t, without a newline.
func (pr *Printer) Append(dst []byte, t time.Time, p *Packet) []byte {
	if pr.Location != nil {
		t = t.In(pr.Location)
	} else {
		t = t.Local()
	}
	dst = pr.clock.append(dst, pr.Dialect, pr.Timestamp, t)
	l := line{b: dst, start: len(dst), d: pr.Dialect}
	if pr.Relative {
		pr.convs.limit = pr.Conversations
		l.convs = &pr.convs
	}
	l.packet(p)
	return l.b
}
