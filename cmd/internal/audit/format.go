package audit

import (
	"bytes"
	"strconv"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tap/capture"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
)

// encoder is the form in which a sink writes events. append adds nothing for an event that the
// format has no form for.
type encoder interface {
	append(dst []byte, e *Event) []byte
}

// jsonFormat writes one JSON object for each event (package record).
type jsonFormat struct{ record.Writer }

func (f *jsonFormat) append(dst []byte, e *Event) []byte {
	switch {
	case e.Record != nil:
		return f.Handshake(dst, e.Seq, e.Record)
	case e.Datagram != nil:
		return f.Datagram(dst, e.Seq, e.Datagram)
	case e.Flow != nil:
		return f.Flow(dst, e.Seq, e.Flow, e.Opening)
	case e.Finding != nil:
		return f.Finding(dst, e.Seq, e.Finding)
	case e.Gap != nil:
		return f.Gap(dst, e.Seq, e.Gap)
	case e.End != nil:
		return f.End(dst, e.Seq, e.End)
	}
	return dst
}

// textFormat writes the lines of an attempt, or of one segment, as tcpdump prints them.
type textFormat struct{ printer tcpdump.Printer }

func (f *textFormat) append(dst []byte, e *Event) []byte {
	if e.Segment != nil {
		dst = f.segment(dst, e.Segment)
	}
	if e.Record != nil {
		for i := range e.Record.Segments {
			dst = f.segment(dst, &e.Record.Segments[i])
		}
	}
	return dst
}

func (f *textFormat) segment(dst []byte, s *handshake.Segment) []byte {
	return append(f.printer.Append(dst, s.Time, &s.Packet), '\n')
}

// pcapngFormat writes the segments of an attempt as packets of a capture, each with the verdict as
// its comment.
type pcapngFormat struct {
	b       bytes.Buffer
	w       *capture.Writer // into b
	comment []byte
}

// newPCAPNG returns a format whose buffer holds the head of a section, which goes into the file
// first.
func newPCAPNG() (*pcapngFormat, error) {
	f := &pcapngFormat{}
	var err error
	f.w, err = capture.NewWriter(&f.b, capture.LinkTypeRaw, time.Nanosecond)
	return f, err
}

func (f *pcapngFormat) append(dst []byte, e *Event) []byte {
	if e.Record == nil {
		return dst
	}
	f.b.Reset()
	f.comment = appendComment(f.comment[:0], e.Record.Record)
	comment := string(f.comment)
	for _, s := range e.Record.Segments {
		if f.w.WritePacket(s.Time, s.Packet.Data, s.Packet.Length, comment) != nil {
			return dst // never: a buffer takes everything
		}
	}
	return append(dst, f.b.Bytes()...)
}

// appendComment appends the verdict on an attempt, which its packets do not show:
// "outcome=established synack_us=862 ack_us=41".
func appendComment(b []byte, r *handshake.Record) []byte {
	b = append(b, "outcome="...)
	b = append(b, r.Outcome...)
	if r.AbortedBy != "" {
		b = append(b, " aborted_by="...)
		b = append(b, r.AbortedBy...)
	}
	if r.SYNACKDelay >= 0 {
		b = append(b, " synack_us="...)
		b = strconv.AppendInt(b, r.SYNACKDelay.Microseconds(), 10)
	}
	if r.ACKDelay >= 0 {
		b = append(b, " ack_us="...)
		b = strconv.AppendInt(b, r.ACKDelay.Microseconds(), 10)
	}
	return b
}
