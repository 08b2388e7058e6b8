package format

import (
	"net/netip"
	"strconv"
	"time"

	"syntap/cmd/internal/record"
)

// segments takes from the segments of a handshake its history and its length.
func (d *Decoder) segments(r *Record, list []byte) {
	var h history
	for segment := range record.Elements(list) {
		s := stepOf(segment)
		h.add(s)
		r.Last = max(r.Last, s.at)
	}
	r.History = d.intern(h.letters[:h.n])
}

func stepOf(segment []byte) step {
	s := step{at: -1}
	var flags []byte
	for key, value := range record.Members(segment) {
		switch string(key) {
		case "at_us":
			s.at = micros(value)
		case "dir":
			s.outbound = string(record.Text(value)) == "outbound"
		case "flags":
			flags = record.Text(value)
		case "seq":
			s.seq = uint32(number(value))
		case "len":
			s.payload = number(value) > 0
		}
	}
	for _, c := range flags {
		switch c {
		case 'S':
			s.syn = true
		case 'F':
			s.fin = true
		case 'R':
			s.rst = true
		case '.':
			s.ack = true
		}
	}
	return s
}

func (d *Decoder) rewrites(r *Record, list []byte) {
	for rewrite := range record.Elements(list) {
		var w Rewrite
		for key, value := range record.Members(rewrite) {
			switch string(key) {
			case "packet":
				w.Packet = d.share(value)
			case "what":
				w.What = d.share(value)
			case "from":
				w.From = d.either(value)
			case "to":
				w.To = d.either(value)
			case "rule":
				w.Rule = int(number(value))
			}
		}
		r.Rewrites = append(r.Rewrites, w)
	}
}

// either returns a text, or a number as text.
func (d *Decoder) either(value []byte) string {
	if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return d.share(value)
}

func (d *Decoder) upstream(u *Upstream, object []byte) {
	for key, value := range record.Members(object) {
		switch string(key) {
		case "local":
			u.Local = endOf(value)
		case "remote":
			u.Remote = endOf(value)
		case "dial_us":
			u.Dial = time.Duration(number(value)) * time.Microsecond
		case "mss":
			u.MSS = int(number(value))
		case "error":
			u.Error = d.share(value)
		}
		u.Known = true
	}
}

func endOf(value []byte) netip.AddrPort {
	a, _ := netip.ParseAddrPort(string(record.Text(value))) // the zero value if it is none
	return withoutZone(a)
}

func withoutZone(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}

func (d *Decoder) quic(r *Record, object []byte) {
	for key, value := range record.Members(object) {
		switch string(key) {
		case "version":
			r.QUIC = d.share(value)
		case "sni":
			r.SNI = d.share(value)
		case "alpn":
			r.ALPN = d.texts(r.ALPN, value)
		case "ech":
			r.ECH = string(value) == "true"
		}
	}
}

func (d *Decoder) dns(r *Record, object []byte) {
	for key, value := range record.Members(object) {
		r.DNS = true
		switch string(key) {
		case "queries":
			for query := range record.Elements(value) {
				q := d.resource(query)
				r.Queries = append(r.Queries, Question{q.Name, q.Type})
			}
		case "rcode":
			r.RCode = d.share(value)
		case "answers":
			for answer := range record.Elements(value) {
				r.Answers = append(r.Answers, d.resource(answer))
			}
		}
	}
}

// resource takes the members of a question or of a resource record.
func (d *Decoder) resource(object []byte) (a Answer) {
	for key, value := range record.Members(object) {
		switch string(key) {
		case "name":
			a.Name = d.share(value)
		case "type":
			a.Type = d.share(value)
		case "data":
			a.Data = d.share(value)
		case "ttl":
			a.TTL = uint32(number(value))
		}
	}
	return a
}
