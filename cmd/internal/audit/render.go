package audit

import (
	"bytes"

	"github.com/sirupsen/logrus"

	"syntap/tap"
)

// JSON returns a record as the line of a JSON log with the number seq, without its end.
func JSON(r *tap.Record, seq uint64) []byte {
	entry := logrus.Entry{
		Time: r.Time, Level: logrus.InfoLevel, Message: "handshake",
		Data: logrus.Fields{EventKey: &Event{Seq: seq, Record: r}},
	}
	line, _ := new(jsonFormatter).Format(&entry) // it fails only on an entry without an event
	return bytes.TrimSuffix(line, []byte("\n"))
}
