package format

import (
	"net/netip"
	"strconv"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// object is JSON text while it is written.
type object struct{ b []byte }

// key writes a key, with the comma before it.
func (o *object) key(key string) {
	if c := o.b[len(o.b)-1]; c != '{' && c != '[' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), key...), '"', ':')
}

func (o *object) open(key string) { o.key(key); o.b = append(o.b, '{') }
func (o *object) list(key string) { o.key(key); o.b = append(o.b, '[') }
func (o *object) close()          { o.b = append(o.b, '}') }
func (o *object) endList()        { o.b = append(o.b, ']') }

// item begins an object in a list.
func (o *object) item() {
	if o.b[len(o.b)-1] != '[' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '{')
}

// objects writes a list of objects, each with the members that write writes.
func objects[T any](o *object, key string, all []T, write func(*T)) {
	o.list(key)
	for i := range all {
		o.item()
		write(&all[i])
		o.close()
	}
	o.endList()
}

// raw writes a value that is JSON.
func (o *object) raw(key, value string) { o.key(key); o.b = append(o.b, value...) }

// word writes a string without characters to escape.
func (o *object) word(key, value string) {
	o.key(key)
	o.b = append(append(append(o.b, '"'), value...), '"')
}

// text writes a string, and no member for an empty one.
func (o *object) text(key, value string) {
	if value != "" {
		o.key(key)
		o.b = record.AppendString(o.b, value)
	}
}

// texts writes a list of strings, and no member for an empty one.
func (o *object) texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	o.list(key)
	for i, value := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = record.AppendString(o.b, value)
	}
	o.endList()
}

func (o *object) uint(key string, value uint64) {
	o.key(key)
	o.b = strconv.AppendUint(o.b, value, 10)
}

func (o *object) int(key string, value int64) {
	o.key(key)
	o.b = strconv.AppendInt(o.b, value, 10)
}

// some writes a number, and no member for 0.
func (o *object) some(key string, value uint64) {
	if value > 0 {
		o.uint(key, value)
	}
}

// flag writes true, and no member for false.
func (o *object) flag(key string, value bool) {
	if value {
		o.raw(key, "true")
	}
}

func (o *object) addr(key string, value netip.Addr) {
	o.key(key)
	o.b = append(value.AppendTo(append(o.b, '"')), '"')
}

// endpoint begins an object with an address and a port; an echo has no port.
func (o *object) endpoint(key string, end netip.AddrPort, p flow.Proto) {
	o.open(key)
	o.addr("ip", end.Addr())
	if p != flow.ICMP {
		o.uint("port", uint64(end.Port()))
	}
}

// quoted writes a number as a string.
func (o *object) quoted(key string, value uint64) {
	o.key(key)
	o.b = append(strconv.AppendUint(append(o.b, '"'), value, 10), '"')
}

// communityID writes the Community ID of the connection.
func (o *object) communityID(key string, r *Record) {
	o.key(key)
	o.b = append(record.AppendCommunityID(append(o.b, '"'), r.Proto, r.Client, r.Server), '"')
}

// time writes a time in RFC 3339, UTC, with microseconds.
func (o *object) time(key string, t time.Time) {
	o.key(key)
	o.b = append(t.UTC().AppendFormat(append(o.b, '"'), "2006-01-02T15:04:05.000000Z"), '"')
}

// micros writes whole microseconds, and no member for a negative, unknown duration.
func (o *object) micros(key string, d time.Duration) {
	if d >= 0 {
		o.int(key, d.Microseconds())
	}
}

// line ends the object and its line.
func (o *object) line() []byte {
	b := append(o.b, '}', '\n')
	o.b = nil // it is the caller's
	return b
}
