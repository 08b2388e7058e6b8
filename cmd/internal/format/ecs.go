package format

import (
	"cmp"
	"net/netip"
	"strings"

	"syntap/cmd/internal/version"
	"syntap/tun/flow"
)

// ECS appends records as documents of the Elastic Common Schema 9.4.0, one line of JSON each.
// Members that the schema has no field for stand in the object syntap, with their keys in JSON
// records. The zero value is ready to use.
type ECS struct{ o object }

// ECSBegin is how each document begins, of any version.
const ECSBegin = `{"ecs":{"version":"`

const ecsVersion = `9.4.0"}`

// ecsObserver is the member observer up to its end.
var ecsObserver = `,"observer":{"vendor":"syntap","product":"syntap","type":"router","version":"` + version.Release() + `"`

// Append appends the document of a record; nothing for a type of record that it does not know.
func (f *ECS) Append(dst []byte, r *Record) []byte {
	if r.Type == Other {
		return dst
	}
	o := &f.o
	o.b = append(append(dst, ECSBegin...), ecsVersion...)
	o.time("@timestamp", r.Time)
	if r.Type == Finding || r.Type == Gap && r.Gap.Level != "info" {
		o.raw("log", `{"level":"warning"}`)
	} else {
		o.raw("log", `{"level":"info"}`)
	}
	f.event(r)
	f.hosts(r)
	if r.OfNoConnection() {
		f.message(r)
		o.open("syntap")
		o.text("run_id", r.RunID)
		o.account(r)
		o.close()
		return o.line()
	}
	f.network(r)
	f.end("source", r.Client, r.Upstream.Local, r, r.Bytes.Outbound, r.Packets.Outbound)
	f.end("destination", r.Server, r.Upstream.Remote, r, r.Bytes.Inbound, r.Packets.Inbound)
	f.owner(r)
	f.dns(r)
	f.tls(r)
	if r.Rule != "" {
		o.open("rule")
		o.text("name", r.Rule)
		o.close()
	}
	if r.Upstream.Error != "" {
		o.open("error")
		o.text("code", r.Upstream.Error)
		o.close()
	}
	f.own(r)
	return o.line()
}

// ecsKinds are the members kind, category, type and action of event, by type of record. A denied
// one has denied in its type.
var ecsKinds = [...]struct{ members, types string }{
	Handshake: {`"event","category":["network"],"action":"handshake","type":[`, `"connection","start"`},
	Datagram:  {`"event","category":["network"],"action":"datagram","type":[`, `"connection","start"`},
	Flow:      {`"event","category":["network"],"action":"flow","type":[`, `"connection","end"`},
	Finding:   {`"alert","category":["network"],"action":"finding","type":[`, `"info"`},
	Gap:       {`"pipeline_error","category":["network"],"action":"gap","type":[`, `"info"`},
	End:       {`"event","category":["network"],"action":"end","type":[`, `"info"`},
}

func (f *ECS) event(r *Record) {
	o, kind := &f.o, &ecsKinds[r.Type]
	o.open("event")
	o.raw("module", `"syntap","dataset":"syntap.`)
	o.b = append(append(o.b, r.Type.String()...), '"')
	o.raw("kind", kind.members)
	o.b = append(o.b, kind.types...)
	switch connection := r.Type == Handshake || r.Type == Datagram; {
	case connection && r.Denied():
		o.b = append(o.b, `,"denied"]`...)
	case connection && r.Live():
		o.b = append(o.b, `,"allowed"]`...)
	default:
		o.b = append(o.b, ']')
	}
	if !r.OfNoConnection() {
		o.word("outcome", ecsOutcome(r))
		o.key("id")
		o.b = append(append(append(o.b, '"'), r.UID()...), '"')
		o.time("start", r.Start())
	}
	if r.Type == Flow {
		o.time("end", r.Time)
		o.int("duration", r.Duration.Nanoseconds())
	}
	o.some("sequence", r.Seq)
	o.text("reason", r.Reason)
	o.close()
}

// ecsOutcome returns the outcome of an event. A first datagram alone has none yet.
func ecsOutcome(r *Record) string {
	switch {
	case r.Type == Datagram && !r.Denied():
		return "unknown"
	case r.ocsfVerdict().status == ocsfSuccess:
		return "success"
	}
	return "failure"
}

// hosts writes the host that syntap runs on, which is the client's where its process is known.
func (f *ECS) hosts(r *Record) {
	o := &f.o
	o.b = append(o.b, ecsObserver...)
	o.text("hostname", r.Host)
	o.close()
	if r.Owner.Known && r.Host != "" {
		o.open("host")
		o.text("hostname", r.Host)
		o.close()
	}
}

func (f *ECS) message(r *Record) {
	switch r.Type {
	case Finding:
		found := []string{string(r.Finding.Kind), cmp.Or(r.Finding.Dst, r.Finding.Name)}
		f.o.text("message", strings.Join(append(found, FindingDetails(r.Finding)...), ", "))
	case Gap:
		f.o.text("message", "records are missing: "+string(r.Gap.Reason))
	default:
		f.o.text("message", "the run has ended in order")
	}
}

func (f *ECS) network(r *Record) {
	o := &f.o
	o.open("network")
	number := r.number()
	o.word("transport", protocolName(number))
	o.quoted("iana_number", number)
	if r.Client.Addr().Is4() {
		o.word("type", "ipv4")
	} else {
		o.word("type", "ipv6")
	}
	o.word("direction", "outbound")
	o.text("protocol", r.application())
	o.communityID("community_id", r)
	if r.Type == Flow {
		o.uint("bytes", r.Bytes.Outbound+r.Bytes.Inbound)
		if r.Proto != flow.TCP {
			o.uint("packets", r.Packets.Outbound+r.Packets.Inbound)
		}
	}
	o.close()
}

// end writes the source or the destination, with its address on the second leg under nat.
func (f *ECS) end(key string, end, second netip.AddrPort, r *Record, bytes, packets uint64) {
	o := &f.o
	o.endpoint(key, end, r.Proto)
	name := ""
	if key == "destination" {
		name = r.hostname()
	}
	o.text("domain", name)
	if name != "" {
		o.text("address", name)
	} else {
		o.addr("address", end.Addr())
	}
	if second.IsValid() && second != end {
		o.endpoint("nat", second, r.Proto)
		o.close()
	}
	if r.Type == Flow {
		o.uint("bytes", bytes)
		if r.Proto != flow.TCP {
			o.uint("packets", packets)
		}
	}
	o.close()
}

func (f *ECS) owner(r *Record) {
	w := &r.Owner
	if !w.Known {
		return
	}
	o := &f.o
	if w.PID != 0 {
		o.open("process")
		o.uint("pid", uint64(w.PID))
		o.text("name", w.Process)
		o.text("executable", w.Exe)
		o.close()
	}
	o.open("user")
	o.quoted("id", uint64(w.UID))
	o.text("name", w.User)
	o.close()
	if w.Container != "" {
		o.open("container")
		o.text("id", w.Container)
		o.close()
	}
}

// dns writes a query, or a response with its question. ECS has one question in each document.
func (f *ECS) dns(r *Record) {
	if !r.DNS {
		return
	}
	o := &f.o
	o.open("dns")
	if r.RCode != "" {
		o.word("type", "answer")
	} else {
		o.word("type", "query")
	}
	if len(r.Queries) > 0 {
		o.open("question")
		o.text("name", r.Queries[0].Name)
		o.text("type", r.Queries[0].Type)
		o.close()
	}
	o.text("response_code", r.RCode)
	o.answers("answers", r.Answers)
	f.resolved(r.Answers)
	o.close()
}

// resolved writes the addresses among answers.
func (f *ECS) resolved(answers []Answer) {
	o := &f.o
	listed := false
	for i := range answers {
		addr, err := netip.ParseAddr(answers[i].Data) // a zone may be any text
		if err != nil || answers[i].Type != "A" && answers[i].Type != "AAAA" {
			continue
		}
		if listed {
			o.b = append(o.b, ',')
		} else {
			o.list("resolved_ip")
		}
		listed = true
		o.b = append(addr.WithZone("").AppendTo(append(o.b, '"')), '"')
	}
	if listed {
		o.endList()
	}
}

// tls writes the name that the client asks for. ECS's version and next_protocol are those that the
// server has chosen, which the client's first bytes do not tell.
func (f *ECS) tls(r *Record) {
	if r.SNI == "" {
		return
	}
	o := &f.o
	o.open("tls")
	o.open("client")
	o.text("server_name", r.SNI)
	o.close()
	o.close()
}

// own writes the object syntap.
func (f *ECS) own(r *Record) {
	o := &f.o
	o.open("syntap")
	o.text("run_id", r.RunID)
	o.text("outcome", r.Outcome)
	o.text("verdict", r.Verdict)
	o.some("opening", r.Opening)
	o.details(r)
	o.text("history", r.history())
	o.texts("alpn", r.ALPN)
	o.text("tls_version", r.TLSVersion)
	o.text("unit", r.Owner.Unit)
	if r.DNS && len(r.Queries) > 1 {
		o.dns(r)
	}
	o.close()
}
