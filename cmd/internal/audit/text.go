package audit

import (
	"errors"

	"github.com/sirupsen/logrus"

	"syntap/tap"
	"syntap/tap/tcpdump"
)

// textFormatter writes the lines of an attempt, or of one segment, as tcpdump prints them.
type textFormatter struct {
	printer tcpdump.Printer
	b       []byte
}

// Format implements logrus.Formatter. The bytes are valid until the next call.
func (f *textFormatter) Format(e *logrus.Entry) ([]byte, error) {
	event, ok := e.Data[EventKey].(*Event)
	if !ok {
		return nil, errors.New("entry is not about an event")
	}
	f.b = f.b[:0]
	if event.Segment != nil {
		f.segment(event.Segment)
	}
	if event.Record != nil {
		for i := range event.Record.Segments {
			f.segment(&event.Record.Segments[i])
		}
	}
	return f.b, nil
}

func (f *textFormatter) segment(s *tap.Segment) {
	f.b = f.printer.Append(f.b, s.Time, &s.Packet)
	f.b = append(f.b, '\n')
}
