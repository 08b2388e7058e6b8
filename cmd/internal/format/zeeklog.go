package format

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"syntap/tun/flow"
)

// ZeekLog takes records one by one and appends each connection as a [Zeek] does, when it is over,
// or at its verdict where it never opened. Meanwhile it remembers the opening. The zero value is
// ready to use.
type ZeekLog struct {
	AtOnce bool // a connection is written at its verdict: no end will come

	zeek Zeek
	// The last openings. When there are maxOpen, the older map is dropped: the lines of its
	// connections then lack the history of their handshakes.
	open, older map[flow.Key]opening
	most        int // as maxOpen; 0 = maxOpen
}

// opening is the part of a handshake that its connection's line needs.
type opening struct {
	time    time.Time
	history string
}

// maxOpen is the size of each of the two maps.
const maxOpen = 1 << 18

// Append takes a record and appends the line of a connection that is over.
func (l *ZeekLog) Append(dst []byte, r *Record) []byte {
	switch {
	case r.Type == Handshake && r.Outcome == "established" && !l.AtOnce:
		if l.open == nil || len(l.open) >= cmp.Or(l.most, maxOpen) {
			l.open, l.older = make(map[flow.Key]opening), l.open
		}
		l.open[key(r)] = opening{r.Time, r.History}
		return dst
	case r.Type == Datagram && !r.Denied() && !l.AtOnce:
		return dst // its flow has all of it
	case r.Type == Flow && r.Proto == flow.TCP:
		k := key(r)
		at, ok := l.open[k]
		if !ok {
			at, ok = l.older[k]
		}
		if !ok {
			return l.zeek.Append(dst, &Connection{End: r})
		}
		delete(l.open, k)
		delete(l.older, k)
		began := at.record(k)
		return l.zeek.Append(dst, &Connection{Opening: &began, End: r})
	case r.Type == Flow:
		return l.zeek.Append(dst, &Connection{End: r})
	case r.Type == Handshake || r.Type == Datagram:
		return l.zeek.Append(dst, &Connection{Opening: r})
	}
	return dst
}

// Close appends the lines of connections that are still open.
func (l *ZeekLog) Close(dst []byte) []byte {
	maps.Copy(l.open, l.older) // nothing is in both
	keys := slices.SortedFunc(maps.Keys(l.open), func(a, b flow.Key) int {
		return cmp.Or(l.open[a].time.Compare(l.open[b].time), a.Client.Compare(b.Client), cmp.Compare(a.ISN, b.ISN))
	})
	for _, k := range keys {
		began := l.open[k].record(k)
		dst = l.zeek.Append(dst, &Connection{Opening: &began, State: Alive})
	}
	l.open, l.older = nil, nil
	return dst
}

func key(r *Record) flow.Key {
	return flow.Key{Client: r.Client, Server: r.Server, ISN: r.ClientISN}
}

// record returns the record of the handshake as far as its line needs it.
func (o opening) record(k flow.Key) Record {
	return Record{
		Type: Handshake, Outcome: "established", Time: o.time, History: o.history, Last: -1,
		Client: k.Client, Server: k.Server, ClientISN: k.ISN,
	}
}
