package tcpdump

import (
	"fmt"
	"strconv"
	"time"
)

// Timestamp is the form of the time in front of a line.
type Timestamp uint8

const (
	None  Timestamp = iota // no time: tcpdump -t
	Time                   // time of day, as tcpdump without -t
	Epoch                  // seconds since 1970: -tt
	Delta                  // since the previous line: -ttt
	Date                   // date and time of day: -tttt
	Since                  // since the first line: -ttttt; Classic lacks the flag and writes no time
)

var timestampNames = [...]string{"none", "time", "epoch", "delta", "date", "since"}

// String returns the name of the form, such as "epoch".
func (f Timestamp) String() string {
	if int(f) < len(timestampNames) {
		return timestampNames[f]
	}
	return fmt.Sprintf("Timestamp(%d)", uint8(f))
}

// MarshalText is String for flags and config files.
func (f Timestamp) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText sets f to the form with the given name.
func (f *Timestamp) UnmarshalText(text []byte) error {
	for i, name := range timestampNames {
		if name == string(text) {
			*f = Timestamp(i)
			return nil
		}
	}
	return fmt.Errorf("parse timestamp %q: want none, time, epoch, delta, date or since", text)
}

// clock writes time stamps, and remembers the one that the next is measured from. Seconds are 32
// bits with a sign, as in a pcap file that tcpdump reads: from 2038 on it goes wrong in ways of its
// own.
type clock struct {
	ref int64 // Unix time in microseconds; 0 = none, in Classic all of the first second
}

const second = int64(time.Second / time.Microsecond)

// append writes t, cut to microseconds.
func (c *clock) append(b []byte, d Dialect, f Timestamp, t time.Time) []byte {
	t = time.Unix(int64(int32(t.Unix())), int64(t.Nanosecond())).In(t.Location())
	if d == Classic {
		return c.classic(b, f, t)
	}
	return c.modern(b, f, t)
}

func (c *clock) classic(b []byte, f Timestamp, t time.Time) []byte {
	usec := int64(t.Nanosecond() / 1000)
	switch f {
	case Time, Date:
		_, zone := t.Zone()
		local := t.Unix() + int64(zone)
		s := local % 86400 // negative before 1970, and so is each field made of it
		if f == Date {
			b = time.Unix(local-s, 0).UTC().AppendFormat(b, "01/02/2006 ")
		}
		b = append(padded(b, s/3600, 2), ':')
		b = append(padded(b, s%3600/60, 2), ':')
		b = append(padded(b, s%60, 2), '.')
	case Epoch:
		b = append(strconv.AppendUint(b, uint64(uint32(t.Unix())), 10), '.')
	case Delta:
		gap := t.UnixMicro() - c.ref
		if 0 <= c.ref && c.ref < second {
			gap = 0
		}
		c.ref = t.UnixMicro()
		usec = (gap%second + second) % second
		if sec := int32((gap - usec) / second); sec != 0 {
			b = append(strconv.AppendInt(b, int64(sec), 10), ". "...)
		}
	default:
		return b
	}
	return append(padded(b, usec, 6), ' ')
}

func (c *clock) modern(b []byte, f Timestamp, t time.Time) []byte {
	const timeOfDay = "15:04:05.000000 "
	switch f {
	case Time:
		return formatted(b, timeOfDay, t)
	case Date:
		return formatted(b, "2006-01-02 "+timeOfDay, t)
	case Epoch:
		if t.Unix() < 0 {
			return append(b, errorTime...)
		}
		b = append(strconv.AppendInt(b, t.Unix(), 10), '.')
		return append(padded(b, int64(t.Nanosecond()/1000), 6), ' ')
	case Delta, Since:
		if c.ref == 0 {
			c.ref = t.UnixMicro()
		}
		gap, sign := t.UnixMicro()-c.ref, byte(' ')
		if gap < 0 {
			gap, sign = -gap, '-'
		}
		if f == Delta {
			c.ref = t.UnixMicro()
		}
		return formatted(append(b, sign), timeOfDay, time.UnixMicro(gap).UTC())
	default:
		return b
	}
}

const errorTime = "[Error converting time] "

func formatted(b []byte, layout string, t time.Time) []byte {
	if int32(t.Unix()) < 0 {
		return append(b, errorTime...)
	}
	return t.AppendFormat(b, layout)
}

// padded writes v in at least width characters, as printf's %0*d does.
func padded(b []byte, v int64, width int) []byte {
	if v < 0 {
		b, v, width = append(b, '-'), -v, width-1
	}
	for limit := int64(10); width > 1; width, limit = width-1, limit*10 {
		if v < limit {
			b = append(b, '0')
		}
	}
	return strconv.AppendInt(b, v, 10)
}
