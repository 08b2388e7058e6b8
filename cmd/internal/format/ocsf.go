package format

import (
	"fmt"
	"path"
	"strings"

	"syntap/cmd/internal/record"
	"syntap/cmd/internal/version"
	"syntap/tun/flow"
)

// OCSF appends records as events of the Open Cybersecurity Schema Framework 1.8.0, one line of JSON
// each: connections as Network Activity (class 4001), findings as Detection Finding (class 2004),
// gaps and ends of runs as Base Event (class 0), as they have no endpoints. The zero value is ready
// to use.
type OCSF struct{ o object }

// OCSFBegin is how each event begins, of any version.
const OCSFBegin = `{"metadata":{"version":"`

const ocsfVersion = `1.8.0"`

// Activities of class 4001.
const (
	ocsfOpen   = 1
	ocsfClose  = 2
	ocsfReset  = 3
	ocsfFail   = 4
	ocsfRefuse = 5
)

var ocsfActivities = [...]string{"Unknown", "Open", "Close", "Reset", "Fail", "Refuse"}

// Values of status_id, and the class.
const (
	ocsfSuccess, ocsfFailure = 1, 2

	ocsfNetworkActivity = 4001
)

// Append appends the event of a record; nothing for a type of record that it does not know.
func (f *OCSF) Append(dst []byte, r *Record) []byte {
	f.o.b = dst
	switch r.Type {
	case Handshake, Datagram, Flow:
		f.metadata(r)
		f.connection(r)
	case Finding:
		f.metadata(r)
		f.finding(r)
	case Gap, End:
		f.metadata(r)
		f.base(r)
	default:
		return dst
	}
	return f.o.line()
}

// productMembers are the members of metadata that are the same in each event.
var productMembers = `,"product":{"name":"syntap","vendor_name":"syntap","version":"` + version.Release() + `"}`

func (f *OCSF) metadata(r *Record) {
	o := &f.o
	o.b = append(append(append(o.b, OCSFBegin...), ocsfVersion...), productMembers...)
	if r.OfNoConnection() {
		o.raw("profiles", `["host"]`)
	} else {
		o.raw("profiles", `["container","host","network_proxy","security_control"]`)
	}
	o.word("log_name", r.Type.String())
	o.some("sequence", r.Seq)
	o.text("correlation_uid", r.RunID)
	o.close()
}

// verdict is a record's outcome in the words of OCSF.
type verdict struct {
	activity, status uint64
	detail           string
}

func (r *Record) ocsfVerdict() verdict {
	if r.Denied() && r.Type != Flow {
		return verdict{ocsfOpen, ocsfFailure, r.Reason}
	}
	switch r.Outcome {
	case "refused":
		return verdict{ocsfRefuse, ocsfFailure, "refused by the server"}
	case "unreachable":
		return verdict{ocsfFail, ocsfFailure, "destination unreachable"}
	case "no_reply":
		return verdict{ocsfFail, ocsfFailure, "timeout: no reply"}
	case "half_open":
		return verdict{ocsfFail, ocsfFailure, "timeout: the client did not complete the handshake"}
	case "aborted":
		return verdict{ocsfReset, ocsfFailure, "reset by the " + r.AbortedBy}
	}
	switch {
	case r.Type != Flow:
		return verdict{ocsfOpen, ocsfSuccess, ""}
	case r.Close == "rst":
		return verdict{ocsfClose, ocsfFailure, "reset by the " + r.ClosedBy}
	case r.Close == "timeout":
		return verdict{ocsfClose, ocsfFailure, "timeout: the " + r.ClosedBy + " no longer acknowledged"}
	}
	return verdict{ocsfClose, ocsfSuccess, ""}
}

func (f *OCSF) connection(r *Record) {
	o, v := &f.o, r.ocsfVerdict()
	o.raw("category_uid", `4,"category_name":"Network Activity","class_uid":4001,"class_name":"Network Activity"`)
	o.uint("activity_id", v.activity)
	o.word("activity_name", ocsfActivities[v.activity])
	o.uint("type_uid", ocsfNetworkActivity*100+v.activity)
	o.word("type_name", "Network Activity: "+ocsfActivities[v.activity])
	o.raw("severity_id", `1,"severity":"Informational"`)
	o.int("time", r.Time.UnixMilli())
	if r.Type == Flow {
		o.int("start_time", r.Start().UnixMilli())
		o.int("end_time", r.Time.UnixMilli())
		o.int("duration", r.Time.UnixMilli()-r.Start().UnixMilli())
	}
	f.status(r, v)
	f.action(r)
	f.endpoints(r)
	f.connectionInfo(r)
	f.traffic(r)
	f.actor(r)
	f.tls(r)
	if app := r.application(); app != "" && app != "tls" {
		o.word("app_protocol_name", app)
	}
	f.unmapped(r)
}

func (f *OCSF) status(r *Record, v verdict) {
	o := &f.o
	if v.status == ocsfSuccess {
		o.raw("status_id", `1,"status":"Success"`)
	} else {
		o.raw("status_id", `2,"status":"Failure"`)
	}
	switch {
	case r.Upstream.Error != "":
		o.text("status_code", r.Upstream.Error)
	case r.RCode != "":
		o.text("status_code", r.RCode)
	case r.Outcome != "":
		o.text("status_code", r.Outcome)
	default:
		o.text("status_code", r.Close)
	}
	o.text("status_detail", v.detail)
}

// action writes the decision on a connection. Of a capture there was none.
func (f *OCSF) action(r *Record) {
	o := &f.o
	switch {
	case r.Denied():
		o.raw("action_id", `2,"action":"Denied","disposition_id":2,"disposition":"Blocked"`)
	case len(r.Rewrites) > 0:
		o.raw("action_id", `4,"action":"Modified","disposition_id":1,"disposition":"Allowed"`)
	case r.Live() || r.Type == Flow:
		o.raw("action_id", `1,"action":"Allowed","disposition_id":1,"disposition":"Allowed"`)
	default:
		o.raw("action_id", `3,"action":"Observed","disposition_id":17,"disposition":"Logged"`)
	}
	if r.Rule != "" {
		o.open("firewall_rule")
		o.text("name", r.Rule)
		o.text("desc", r.Reason)
		o.close()
	}
}

func (f *OCSF) endpoints(r *Record) {
	o := &f.o
	o.endpoint("src_endpoint", r.Client, r.Proto)
	o.close()
	o.endpoint("dst_endpoint", r.Server, r.Proto)
	o.text("hostname", r.hostname())
	o.close()
	o.raw("is_src_dst_assignment_known", "true")
	if local := r.Upstream.Local; local.IsValid() {
		o.endpoint("proxy_endpoint", local, r.Proto)
		o.text("hostname", r.Host)
		o.raw("type_id", `12,"type":"Router"`)
		o.close()
		o.open("proxy_connection_info")
		f.protocol(r.number(), local.Addr().Is4())
		o.close()
	}
	f.device(r)
}

// device writes the host that syntap runs on.
func (f *OCSF) device(r *Record) {
	if r.Host != "" {
		f.o.open("device")
		f.o.text("hostname", r.Host)
		f.o.raw("type_id", `0,"type":"Unknown"`)
		f.o.close()
	}
}

// protocol writes the members of a connection's protocol and direction.
func (f *OCSF) protocol(number uint64, v4 bool) {
	o := &f.o
	o.uint("protocol_num", number)
	o.word("protocol_name", protocolName(number))
	if v4 {
		o.raw("protocol_ver_id", "4")
	} else {
		o.raw("protocol_ver_id", "6")
	}
	o.raw("direction_id", `2,"direction":"Outbound"`)
}

// protocolName returns the keyword of a protocol in lower case (IANA "Assigned Internet Protocol
// Numbers").
func protocolName(number uint64) string {
	switch number {
	case 1:
		return "icmp"
	case 17:
		return "udp"
	case 58:
		return "ipv6-icmp"
	}
	return "tcp"
}

func (f *OCSF) connectionInfo(r *Record) {
	o := &f.o
	o.open("connection_info")
	o.key("uid")
	o.b = append(append(append(o.b, '"'), r.UID()...), '"')
	f.protocol(r.number(), r.Client.Addr().Is4())
	o.communityID("community_uid", r)
	o.text("flag_history", r.history())
	o.close()
}

func (f *OCSF) traffic(r *Record) {
	if r.Type != Flow {
		return
	}
	o := &f.o
	o.open("traffic")
	o.uint("bytes_out", r.Bytes.Outbound)
	o.uint("bytes_in", r.Bytes.Inbound)
	o.uint("bytes", r.Bytes.Outbound+r.Bytes.Inbound)
	if r.Proto != flow.TCP {
		o.uint("packets_out", r.Packets.Outbound)
		o.uint("packets_in", r.Packets.Inbound)
		o.uint("packets", r.Packets.Outbound+r.Packets.Inbound)
	}
	o.close()
}

func (f *OCSF) actor(r *Record) {
	w := &r.Owner
	if !w.Known {
		return
	}
	o := &f.o
	o.open("actor")
	if w.PID != 0 {
		o.open("process")
		o.uint("pid", uint64(w.PID))
		o.text("name", w.Process)
		if w.Exe != "" {
			o.open("file")
			o.text("name", path.Base(w.Exe))
			o.text("path", w.Exe)
			o.raw("type_id", `1,"type":"Regular File"`)
			o.close()
		}
		f.user(w)
		if w.Container != "" {
			o.open("container")
			o.text("uid", w.Container)
			o.close()
		}
		o.close()
	}
	f.user(w)
	o.text("app_name", w.Unit)
	o.close()
}

func (f *OCSF) user(w *Owner) {
	o := &f.o
	o.open("user")
	o.quoted("uid", uint64(w.UID))
	o.text("name", w.User)
	o.close()
}

// tls writes the offer of the client: the version is the highest of them, not the one that the
// server has chosen.
func (f *OCSF) tls(r *Record) {
	offered := r.TLSVersion
	if r.QUIC != "" && r.SNI != "" {
		offered = "1.3" // RFC 9001 §4.2
	}
	if offered == "" {
		return
	}
	o := &f.o
	o.open("tls")
	o.text("version", offered)
	o.text("sni", r.SNI)
	if len(r.ALPN) > 0 {
		o.list("tls_extension_list")
		o.item()
		o.raw("type_id", `16,"type":"application_layer_protocol_negotiation"`)
		o.open("data")
		o.texts("protocols", r.ALPN)
		o.close()
		o.close()
		o.endList()
	}
	o.close()
}

// finding writes the rest of a Detection Finding.
func (f *OCSF) finding(r *Record) {
	o, of := &f.o, r.Finding
	o.raw("category_uid", `2,"category_name":"Findings","class_uid":2004,"class_name":"Detection Finding"`)
	o.raw("activity_id", `1,"activity_name":"Create"`)
	o.raw("type_uid", `200401,"type_name":"Detection Finding: Create"`)
	o.raw("severity_id", `3,"severity":"Medium"`)
	o.raw("status_id", `1,"status":"New"`)
	if of.Confidence == record.High {
		o.raw("confidence_id", `3,"confidence":"High"`)
	} else {
		o.raw("confidence_id", `2,"confidence":"Medium"`)
	}
	o.raw("is_alert", "true")
	o.int("time", r.Time.UnixMilli())
	details := FindingDetails(of)
	o.open("finding_info")
	o.text("uid", strings.TrimSpace(strings.Join([]string{string(of.Kind), FindingPlace(of), of.Direction}, " ")))
	o.text("title", details[0]+" "+FindingPlace(of))
	o.text("desc", strings.Join(details, ", "))
	o.texts("types", []string{string(of.Kind)})
	o.close()
	if of.Clamp > 0 {
		side := "to"
		if of.Leg == record.ClientLeg {
			side = "from"
		}
		o.open("remediation")
		o.text("desc", fmt.Sprintf("clamp the MSS of connections %s %s at %d", side, of.Dst, of.Clamp))
		o.close()
	}
	f.device(r)
	o.open("unmapped")
	o.account(r)
	o.close()
}

// base writes the rest of a Base Event.
func (f *OCSF) base(r *Record) {
	o := &f.o
	o.raw("category_uid", `0,"category_name":"Uncategorized","class_uid":0,"class_name":"Base Event"`)
	o.raw("activity_id", `99,"activity_name":"`)
	o.b = append(o.b, r.Type.String()...)
	o.b = append(o.b, '"')
	o.raw("type_uid", `99,"type_name":"Base Event: Other"`)
	if r.Type == Gap && r.Gap.Level != "info" {
		o.raw("severity_id", `3,"severity":"Medium"`)
	} else {
		o.raw("severity_id", `1,"severity":"Informational"`)
	}
	o.int("time", r.Time.UnixMilli())
	f.device(r)
	o.open("unmapped")
	o.account(r)
	o.close()
}

// unmapped writes the members that the class has no attribute for.
func (f *OCSF) unmapped(r *Record) {
	o := &f.o
	o.open("unmapped")
	o.details(r)
	if r.DNS {
		o.dns(r)
	}
	if o.b[len(o.b)-1] == '{' { // nothing
		o.b = o.b[:len(o.b)-len(`,"unmapped":{`)]
		return
	}
	o.close()
}
