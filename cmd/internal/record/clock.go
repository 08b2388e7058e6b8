package record

import "time"

// clock writes times, UTC with microseconds (RFC 3339). It keeps the last second, which most of the
// next records share.
type clock struct {
	second int64
	text   []byte // "2006-01-02T15:04:05."
}

func (c *clock) append(b []byte, t time.Time) []byte {
	if second := t.Unix(); second != c.second || c.text == nil {
		c.second, c.text = second, t.UTC().AppendFormat(c.text[:0], "2006-01-02T15:04:05.")
	}
	b = append(b, c.text...)
	us := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, '0'+byte(us/unit%10))
	}
	return append(b, 'Z')
}
