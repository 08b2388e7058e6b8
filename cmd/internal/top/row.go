package top

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/tun/flow"
)

// row is a connection: its opening, its end, or both.
type row struct {
	format.Connection
	id   id
	text []byte // of the opening; nil without it
}

// id tells connections apart: the run of their router, and the type and number of the opening, or
// without one of the flow.
type id struct {
	run string
	of  format.Type
	seq uint64
}

// idOf returns the id of the connection that a record is of.
func idOf(r *format.Record) id {
	switch {
	case r.Type != format.Flow:
		return id{r.RunID, r.Type, r.Seq}
	case r.Opening == 0:
		return id{r.RunID, format.Flow, r.Seq}
	case r.Proto == flow.TCP:
		return id{r.RunID, format.Handshake, r.Opening}
	}
	return id{r.RunID, format.Datagram, r.Opening}
}

// rows are the last connections, the oldest first.
type rows struct {
	run   string // of the router
	fleet bool   // there are several routers, and the runs of all go on
	all   []*row
	byID  map[id]*row
	added int
}

// add takes a record.
func (t *rows) add(a arrival) {
	key := idOf(a.record)
	r := t.byID[key]
	if r == nil {
		r = &row{id: key}
		t.byID[key] = r
		t.all = append(t.all, r)
		t.added++
	}
	if a.record.Type == format.Flow {
		r.End, r.State = a.record, format.Ended
	} else {
		r.Opening, r.text = a.record, a.text
		switch {
		case r.End != nil || !a.record.GoesOn():
		case t.fleet || a.record.RunID == t.run:
			r.State = format.Alive
		default:
			r.State = format.EndMissing
		}
	}
	for len(t.all) > kept {
		delete(t.byID, t.all[0].id)
		t.all[0] = nil
		t.all = t.all[1:]
	}
}

// first returns the record that has the ends and the owner.
func (r *row) first() *format.Record {
	if r.Opening != nil {
		return r.Opening
	}
	return r.End
}

func (r *row) client() string { return endpoint(r.first().Client, r.first().Proto) }

// server returns the server by its name, where that is known.
func (r *row) server() string {
	f := r.first()
	name := filter.Name(&r.Connection)
	if name == "" || len(f.Queries) > 0 {
		return endpoint(f.Server, f.Proto) + suffix(f.Proto)
	}
	if f.Proto == flow.ICMP {
		return name + suffix(f.Proto)
	}
	return name + ":" + strconv.Itoa(int(f.Server.Port())) + suffix(f.Proto)
}

func endpoint(a netip.AddrPort, p flow.Proto) string {
	if p == flow.ICMP {
		return a.Addr().String()
	}
	return net.JoinHostPort(a.Addr().String(), strconv.Itoa(int(a.Port())))
}

func suffix(p flow.Proto) string {
	switch p {
	case flow.UDP:
		return "/udp"
	case flow.ICMP:
		return " icmp"
	default:
		return ""
	}
}

// outcome returns the outcome in a word. A flow of datagrams has none while it may be answered, or
// where its end is not on record.
func (r *row) outcome() string { return cmp.Or(r.Outcome(), r.State.String()) }

// process names the program and its user.
func (r *row) process() string {
	o := &r.first().Owner
	user := o.User
	if user == "" && o.Known {
		user = fmt.Sprintf("user %d", o.UID)
	}
	return strings.Trim(o.Process+" "+user, " ")
}

func (r *row) sent() string { return r.bytes(func(t format.Traffic) uint64 { return t.Outbound }) }

func (r *row) received() string { return r.bytes(func(t format.Traffic) uint64 { return t.Inbound }) }

func (r *row) bytes(direction func(format.Traffic) uint64) string {
	if r.End == nil {
		return "-"
	}
	return format.Size(direction(r.End.Bytes))
}

func (r *row) lasted() string {
	if r.End == nil {
		return "-"
	}
	return span(r.End.Duration)
}

func (r *row) connect() string { return span(r.first().SYNACKDelay) }

// span writes a duration; a negative one is unknown.
func span(d time.Duration) string {
	if d < 0 {
		return "-"
	}
	return format.Span(d)
}

// note lists the peculiarities.
func (r *row) note() string {
	f := r.first()
	var notes []string
	add := func(note string) {
		if note != "" && !slices.Contains(notes, note) { // rewrites are often the same both ways
			notes = append(notes, note)
		}
	}
	if q := r.question(); q != "" {
		add(q)
		if r.End != nil {
			add(r.End.RCode)
		}
	}
	add(cmp.Or(f.Reason, f.Upstream.Error))
	if f.AbortedBy != "" {
		add("by " + f.AbortedBy)
	}
	for i := range f.Rewrites {
		w := &f.Rewrites[i]
		add(fmt.Sprintf("%s %s→%s", w.What, cmp.Or(w.From, "none"), w.To))
	}
	if n := f.SYNRetransmits + f.SYNACKRetransmits; n > 0 {
		add(fmt.Sprintf("%d retransmitted", n))
	}
	switch {
	case r.State == format.Alive:
		add("open")
	case r.State == format.EndMissing:
		add("end not on record")
	case r.End != nil && r.End.Close != "" && r.End.Close != "fin":
		add(r.End.ClosedBy + " " + r.End.Close)
	}
	return strings.Join(notes, ", ")
}

// question returns what a DNS query asks for.
func (r *row) question() string {
	q := r.first().Queries
	if len(q) == 0 && r.End != nil {
		q = r.End.Queries
	}
	if len(q) == 0 {
		return ""
	}
	return q[0].Type + " " + q[0].Name
}

// orders are those in which connections, or groups, can be listed: the greatest first.
var orders = []string{"began", "received", "sent", "lasted", "connect"}

// less compares two connections in an order; those that came last are first among equals.
func less(order string) func(a, b *row) int {
	value := func(r *row) int64 {
		switch {
		case order == "began":
			return r.Start().UnixMicro()
		case order == "connect":
			return int64(r.first().SYNACKDelay)
		case r.End == nil:
			return -1
		case order == "received":
			return int64(r.End.Bytes.Inbound)
		case order == "sent":
			return int64(r.End.Bytes.Outbound)
		}
		return int64(r.End.Duration)
	}
	return func(a, b *row) int { return cmp.Compare(value(b), value(a)) }
}
