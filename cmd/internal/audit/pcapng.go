package audit

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/tap"
	"syntap/tap/capture"
)

// pcapngFormatter writes the segments of an attempt as packets of a capture, each with the verdict
// as its comment.
type pcapngFormatter struct {
	b       bytes.Buffer
	w       *capture.Writer // into b
	comment []byte
}

// newPCAPNG returns a formatter whose buffer holds the head of a section, which goes into the file
// first.
func newPCAPNG() (*pcapngFormatter, error) {
	f := &pcapngFormatter{}
	var err error
	f.w, err = capture.NewWriter(&f.b, capture.LinkTypeRaw, time.Nanosecond)
	return f, err
}

// Format implements logrus.Formatter. The bytes are valid until the next call.
func (f *pcapngFormatter) Format(e *logrus.Entry) ([]byte, error) {
	event, ok := e.Data[EventKey].(*Event)
	if !ok || event.Record == nil {
		return nil, errors.New("entry is not about an attempt")
	}
	f.b.Reset()
	f.comment = appendComment(f.comment[:0], event.Record)
	comment := string(f.comment)
	for _, s := range event.Record.Segments {
		if err := f.w.WritePacket(s.Time, s.Packet.Data, s.Packet.Length, comment); err != nil {
			return nil, err
		}
	}
	return f.b.Bytes(), nil
}

// appendComment says of an attempt what its packets do not: "outcome=established synack_us=862
// ack_us=41".
func appendComment(b []byte, r *tap.Record) []byte {
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
