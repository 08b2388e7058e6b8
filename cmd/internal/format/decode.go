package format

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"time"

	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// Decoder fills in records from lines of a JSON log. It keeps the texts that many records share,
// such as names of processes. The zero value is ready to use; a Decoder is for one goroutine at a
// time.
type Decoder struct {
	// Brief leaves out the History of established handshakes, which takes half of the time and
	// which CSV and Line do not need.
	Brief bool

	shared map[string]string
}

// maxShared is how many texts a Decoder keeps.
const maxShared = 4096

// Decode fills in r from a line without its end, and returns its form: r counts only if the line is
// a record. A member of an unexpected type counts as absent. The record keeps nothing of the
// line's memory.
func (d *Decoder) Decode(line []byte, r *Record) record.Form {
	*r = Record{
		SYNACKDelay: -1, ACKDelay: -1, Last: -1, Duration: -1,
		Names: r.Names[:0], Rewrites: r.Rewrites[:0], ALPN: r.ALPN[:0], Queries: r.Queries[:0], Answers: r.Answers[:0],
	}
	var e ends
	form := record.Scan(line, func(key, value []byte) {
		if !d.header(r, key, value) && !e.take(key, value) && !d.opening(r, key, value) {
			d.flow(r, key, value)
		}
	})
	r.Client, r.Server = e.client(), e.server()
	switch {
	case form == record.None:
	case r.Type == Finding:
		r.Finding = new(record.Finding)
		_ = json.Unmarshal(line, r.Finding) // the members that are as expected
	case r.Type == Gap:
		r.Gap = new(record.Gap)
		_ = json.Unmarshal(line, r.Gap)
	case r.Type == End:
		r.End = new(record.End)
		_ = json.Unmarshal(line, r.End)
	}
	return form
}

// ends are the members of a record that tell its ends.
type ends struct {
	src, dst     netip.Addr
	sport, dport uint16
}

func (e *ends) client() netip.AddrPort { return netip.AddrPortFrom(e.src, e.sport) }
func (e *ends) server() netip.AddrPort { return netip.AddrPortFrom(e.dst, e.dport) }

func (e *ends) take(key, value []byte) bool {
	switch string(key) {
	case "src":
		e.src = addressOf(value)
	case "dst":
		e.dst = addressOf(value)
	case "sport":
		e.sport = uint16(number(value))
	case "dport":
		e.dport = uint16(number(value))
	default:
		return false
	}
	return true
}

// addressOf returns an address without its zone, which may be any text.
func addressOf(value []byte) netip.Addr {
	a, _ := netip.ParseAddr(string(record.Text(value))) // the zero value if it is none
	return a.WithZone("")
}

// header takes the members that each type of record has, and those of policy, name and owner.
func (d *Decoder) header(r *Record, key, value []byte) bool {
	switch string(key) {
	case "time":
		r.Time, _ = time.Parse(time.RFC3339Nano, string(record.Text(value)))
	case "msg":
		r.Type = typeOf(record.Text(value))
	case "seq":
		r.Seq = number(value)
	case "run_id":
		r.RunID = d.share(value)
	case "host":
		r.Host = d.share(value)
	case "proto":
		r.Proto = protoOf(record.Text(value))
	case "outcome":
		r.Outcome = d.share(value)
	case "verdict":
		r.Verdict = d.share(value)
	case "rule":
		r.Rule = d.share(value)
	case "reason":
		r.Reason = d.share(value)
	case "name":
		r.Name = d.share(value)
	case "name_source":
		r.NameSource = d.share(value)
	case "names":
		r.Names = d.texts(r.Names, value)
	case "uid":
		r.Owner.Known, r.Owner.UID = true, uint32(number(value))
	case "user":
		r.Owner.User = d.share(value)
	case "pid":
		r.Owner.PID = int(number(value))
	case "process":
		r.Owner.Process = d.share(value)
	case "exe":
		r.Owner.Exe = d.share(value)
	case "unit":
		r.Owner.Unit = d.share(value)
	case "container":
		r.Owner.Container = d.share(value)
	default:
		return false
	}
	return true
}

func typeOf(msg []byte) Type {
	switch string(msg) {
	case "handshake":
		return Handshake
	case "datagram":
		return Datagram
	case "flow":
		return Flow
	case "finding":
		return Finding
	case "gap":
		return Gap
	case "end":
		return End
	}
	return Other
}

func protoOf(word []byte) flow.Proto {
	switch string(word) {
	case "udp":
		return flow.UDP
	case "icmp":
		return flow.ICMP
	}
	return flow.TCP
}

// opening takes the members of a handshake, and of a datagram.
func (d *Decoder) opening(r *Record, key, value []byte) bool {
	switch string(key) {
	case "aborted_by":
		r.AbortedBy = d.share(value)
	case "client_isn":
		r.ClientISN = uint32(number(value))
	case "syn_retransmits":
		r.SYNRetransmits = int(number(value))
	case "synack_retransmits":
		r.SYNACKRetransmits = int(number(value))
	case "simultaneous":
		r.Simultaneous = string(value) == "true"
	case "synack_us":
		r.SYNACKDelay = micros(value)
	case "ack_us":
		r.ACKDelay = micros(value)
	case "segments":
		if !d.Brief || r.Outcome != "established" {
			d.segments(r, value)
		}
	case "rewrites":
		d.rewrites(r, value)
	case "upstream":
		d.upstream(&r.Upstream, value)
	case "length":
		r.Length = int(number(value))
	case "quic":
		d.quic(r, value)
	default:
		return false
	}
	return true
}

// flow takes the members of a flow.
func (d *Decoder) flow(r *Record, key, value []byte) {
	switch string(key) {
	case "handshake_seq", "datagram_seq":
		r.Opening = number(value)
	case "duration_us":
		r.Duration = micros(value)
	case "outbound_bytes":
		r.Bytes.Outbound = number(value)
	case "inbound_bytes":
		r.Bytes.Inbound = number(value)
	case "outbound_packets":
		r.Packets.Outbound = number(value)
	case "inbound_packets":
		r.Packets.Inbound = number(value)
	case "retransmits":
		r.Retransmits = number(value)
	case "closed_by":
		r.ClosedBy = d.share(value)
	case "close":
		r.Close = d.share(value)
	case "sni":
		r.SNI = d.share(value)
	case "alpn":
		r.ALPN = d.texts(r.ALPN, value)
	case "tls_version":
		r.TLSVersion = d.share(value)
	case "ech":
		r.ECH = string(value) == "true"
	case "http_host":
		r.HTTPHost = d.share(value)
	case "name_conflict":
		r.NameConflict = string(value) == "true"
	case "dns":
		d.dns(r, value)
	}
}

// share returns a text, and the same memory for the same text.
func (d *Decoder) share(value []byte) string {
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	value = value[1 : len(value)-1]
	if s, ok := d.shared[string(value)]; ok {
		return s
	}
	return d.keep(value, record.Unquote(value))
}

// intern returns text without escapes, and the same memory for the same text.
func (d *Decoder) intern(text []byte) string {
	if s, ok := d.shared[string(text)]; ok {
		return s
	}
	return d.keep(text, string(text))
}

// keep stores s as the text of raw in records.
func (d *Decoder) keep(raw []byte, s string) string {
	if d.shared == nil || len(d.shared) >= maxShared {
		d.shared = make(map[string]string)
	}
	d.shared[string(raw)] = s
	return s
}

// texts appends a list of texts.
func (d *Decoder) texts(dst []string, list []byte) []string {
	for value := range record.Elements(list) {
		dst = append(dst, d.share(value))
	}
	return dst
}

// number returns a whole number, and 0 for another value.
func number(value []byte) uint64 {
	n, _ := strconv.ParseUint(string(value), 10, 64)
	return n
}

func micros(value []byte) time.Duration {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return -1
	}
	return time.Duration(n) * time.Microsecond
}
