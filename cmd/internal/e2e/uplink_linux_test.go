package e2e_test

import (
	endian "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	pcap "syntap/tap/capture"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// wire is the traffic of a link, as the host that a capture was taken on sends and gets it.
type wire struct {
	flows  map[wireFlow]*traffic
	others map[string]int // packets of no flow, by kind
}

// wireFlow is a flow on a link. The far end of an echo has port 0, the near end its identifier.
type wireFlow struct {
	proto     string // tcp, udp or icmp
	near, far netip.AddrPort
}

// traffic counts a flow's packets and the payload in them. That of TCP counts once, however often
// it was sent.
type traffic struct {
	flows             int // that are added up here
	out, in           int
	outBytes, inBytes int

	begun    [2]bool // there was a SYN from the near end, from the far end
	sequence [2]uint32
}

// add adds another flow's payload.
func (f *traffic) add(other *traffic) {
	f.outBytes += other.outBytes
	f.inBytes += other.inBytes
}

// readWire reads a capture of a host with these addresses.
func readWire(t *testing.T, file string, near ...string) *wire {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	w := &wire{flows: make(map[wireFlow]*traffic), others: make(map[string]int)}
	packets, err := pcap.NewReader(f)
	for err == nil {
		var p *pcap.Packet
		if p, err = packets.Next(); err == nil && len(p.Network) > 0 {
			w.add(p.Network, p.NetworkLength, near)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return w
}

func (w *wire) add(b []byte, n int, near []string) {
	var h packet.Headers
	h.Parse(b, n)
	switch {
	case h.Fragment == packet.LaterFragment:
		return // the first one says how long the datagram is
	case !h.Upper || h.Problem == packet.Malformed || len(b) < h.Offset+8:
		w.others[fmt.Sprintf("protocol %d", h.Proto)]++
		return
	}
	src, dst := h.Addrs(b)
	from, _ := netip.AddrFromSlice(src)
	to, _ := netip.AddrFromSlice(dst)
	out := slices.Contains(near, from.String())
	payload, proto := b[h.Offset:], ""
	a, z := netip.AddrPortFrom(from, h.SrcPort), netip.AddrPortFrom(to, h.DstPort)
	length := 0
	switch {
	case h.TCP:
		proto = "tcp"
	case h.Proto == packet.ProtoUDP:
		proto, length = "udp", int(endian.BigEndian.Uint16(payload[4:]))-packet.UDPHeaderLen // of all fragments
	case isEcho(payload, h.Proto):
		proto, length = "icmp", h.Length-h.Offset-8
		id := endian.BigEndian.Uint16(payload[4:])
		a, z = netip.AddrPortFrom(from, id), netip.AddrPortFrom(to, 0)
		if !out {
			a, z = netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, id)
		}
	default:
		w.others[fmt.Sprintf("protocol %d type %d", h.Proto, payload[0])]++
		return
	}
	if !out {
		a, z = z, a
	}
	flow := w.flows[wireFlow{proto, a, z}]
	if flow == nil {
		flow = new(traffic)
		w.flows[wireFlow{proto, a, z}] = flow
	}
	switch {
	case h.TCP:
		flow.segment(&h, out)
	case out:
		flow.outBytes += length
	default:
		flow.inBytes += length
	}
	if out {
		flow.out++
	} else {
		flow.in++
	}
}

// isEcho reports whether a message of ICMP or ICMPv6 is an echo request or reply.
func isEcho(b []byte, proto uint8) bool {
	switch proto {
	case packet.ProtoICMP:
		return b[0] == packet.ICMPEchoRequest || b[0] == packet.ICMPEchoReply
	case packet.ProtoICMPv6:
		return b[0] == packet.ICMPv6EchoRequest || b[0] == packet.ICMPv6EchoReply
	}
	return false
}

// segment counts the payload of a TCP segment.
func (f *traffic) segment(h *packet.Headers, out bool) {
	side, sum := 1, &f.inBytes
	if out {
		side, sum = 0, &f.outBytes
	}
	if h.Flags&packet.SYN != 0 {
		f.begun[side], f.sequence[side] = true, h.Seq+1
		return
	}
	if f.begun[side] && h.Length > h.End { // the number behind a FIN is no byte's
		*sum = max(*sum, int(int32(h.Seq+uint32(h.Length-h.End)-f.sequence[side])))
	}
}

// flowRecord holds those keys of a record that say whose flow it is of, and whereto.
type flowRecord struct {
	Seq          uint64
	Msg, Proto   string
	RunID        string `json:"run_id"`
	Outcome      string
	Src, Dst     string
	Sport, Dport uint16
	Name         string
	Names        []string
	Conflict     bool   `json:"name_conflict"`
	SNI          string `json:"sni"`
	Host         string `json:"http_host"`
	Handshake    uint64 `json:"handshake_seq"`
	Out          int    `json:"outbound_packets"`
	In           int    `json:"inbound_packets"`
	OutBytes     int    `json:"outbound_bytes"`
	InBytes      int    `json:"inbound_bytes"`
	Close        string
	UID          *uint32
	PID          int
	Process, Exe string
	Upstream     struct{ Local, Remote, Error string }
	QUIC         *struct{ SNI string }
	DNS          *struct{ Queries []struct{ Name, Type string } }
}

// flowRecords returns the records of flows, their beginnings and ends, in a JSON log.
func flowRecords(t *testing.T, log string) (all []flowRecord) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r flowRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if r.Msg != "end" && r.Msg != "finding" {
			all = append(all, r)
		}
	}
	return all
}

// brief returns a record's keys that tell it from others, and its owner.
func (r *flowRecord) brief() string {
	return fmt.Sprintf("%s %d: %s %s:%d to %s:%d %q, %s%s, %d/%d bytes, %s of process %d",
		r.Msg, r.Seq, r.Proto, r.Src, r.Sport, r.Dst, r.Dport, r.Name,
		r.Outcome, r.Close, r.OutBytes, r.InBytes, r.Exe, r.PID)
}

// far returns the far end of a record's flow.
func (r *flowRecord) far() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(r.Dst), r.Dport)
}

// comparison is that of an uplink with the records of the flows that have crossed it.
//
// A record of TCP says from which port of the uplink the connection went, if it was established.
// Others do not: they are compared by their far end, connections that were not established by
// number, datagrams and echoes by number and bytes.
type comparison struct {
	established map[wireFlow]*flowRecord // without those that were found on the uplink
	ends        map[string]*flowRecord   // of connections, by run and handshake
	begun       map[string]bool          // flows of datagrams, by their client
	sums        map[farEnd]*farSum
	exact       int // connections with as many bytes, both ways, as on the uplink

	contradictions []contradiction
}

type farEnd struct {
	proto string
	end   netip.AddrPort
}

// farSum counts flows to a far end by their records and on the uplink.
type farSum struct{ recorded, wired traffic }

// contradiction is one between an uplink and the records.
type contradiction struct {
	far  netip.AddrPort
	text string
}

// compareUplink compares an uplink with the records of all flows that have crossed it.
func compareUplink(w *wire, records []flowRecord) *comparison {
	c := &comparison{
		established: make(map[wireFlow]*flowRecord), ends: make(map[string]*flowRecord),
		begun: make(map[string]bool), sums: make(map[farEnd]*farSum),
	}
	for i := range records {
		c.addRecord(&records[i])
	}
	for key, f := range w.flows {
		if f.out > 0 { // else the answer of a server from another address than was asked
			c.addFlow(key, f)
		}
	}
	for key, r := range c.established {
		c.differ(key.far, "nothing on the uplink of %s", r.brief())
	}
	for key, s := range c.sums {
		c.compareSum(key, &s.recorded, &s.wired)
	}
	return c
}

func (c *comparison) differ(far netip.AddrPort, format string, args ...any) {
	c.contradictions = append(c.contradictions, contradiction{far, fmt.Sprintf(format, args...)})
}

func (c *comparison) sum(proto string, far netip.AddrPort) *farSum {
	key := farEnd{proto, far}
	if c.sums[key] == nil {
		c.sums[key] = new(farSum)
	}
	return c.sums[key]
}

func (c *comparison) addRecord(r *flowRecord) {
	switch {
	case r.Msg == "handshake":
		local, err := netip.ParseAddrPort(r.Upstream.Local)
		if err != nil {
			c.sum("tcp", r.far()).recorded.flows++
			return
		}
		key := wireFlow{"tcp", local, r.far()}
		if c.established[key] != nil {
			c.differ(r.far(), "two records of %v", key)
		}
		c.established[key] = r
	case r.Msg == "datagram":
		client := fmt.Sprint(r.RunID, r.Proto, r.Src, r.Sport, r.far())
		if !c.begun[client] { // else it has begun again
			c.begun[client] = true
			c.sum(r.Proto, r.far()).recorded.flows++
		}
	case r.Msg == "flow" && r.Proto == "tcp":
		c.ends[fmt.Sprint(r.RunID, r.Handshake)] = r
	case r.Msg == "flow":
		c.sum(r.Proto, r.far()).recorded.add(&traffic{outBytes: r.OutBytes, inBytes: r.InBytes})
	default:
		c.differ(netip.AddrPort{}, "a record of another kind: %s", r.brief())
	}
}

func (c *comparison) addFlow(key wireFlow, f *traffic) {
	r := c.established[key]
	delete(c.established, key)
	if r == nil {
		sum := c.sum(key.proto, key.far)
		sum.wired.flows++
		sum.wired.add(f)
		return
	}
	end := c.ends[fmt.Sprint(r.RunID, r.Seq)]
	switch {
	case r.Outcome != "established":
	case end == nil:
		c.differ(key.far, "no end of %s", r.brief())
	case f.outBytes > end.OutBytes, f.inBytes < end.InBytes: // behind a RST they are not equal
		c.differ(key.far, "%d bytes out and %d in on the uplink, but %s", f.outBytes, f.inBytes, end.brief())
	case f.outBytes == end.OutBytes && f.inBytes == end.InBytes:
		c.exact++
	}
}

func (c *comparison) compareSum(key farEnd, recorded, wired *traffic) {
	oneEach := key.proto != "icmp" && (key.proto != "udp" || key.end.Port() != 53) // records and ports
	switch {
	case recorded.flows == 0, wired.flows == 0, oneEach && recorded.flows != wired.flows:
		c.differ(key.end, "%s: %d flows on the uplink, %d on record", key.proto, wired.flows, recorded.flows)
	case key.proto == "tcp" && wired.outBytes > 0:
		c.differ(key.end, "payload on the uplink of connections that were not established")
	case key.proto != "tcp" && (recorded.outBytes != wired.outBytes || recorded.inBytes > wired.inBytes):
		c.differ(key.end, "%s: %d bytes out and %d in on the uplink, but %d and %d on record",
			key.proto, wired.outBytes, wired.inBytes, recorded.outBytes, recorded.inBytes)
	}
}

// captureLink captures all packets of a link.
func captureLink(t *testing.T, ns *tuntest.Namespace, link, file string) *capture {
	t.Helper()
	c := &capture{file: file}
	c.Process = ns.Start("tcpdump", "-i", link, "-n", "--immediate-mode", "-B", "65536", "-s", "256", "-w", file, "ip or ip6")
	tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(c.Stderr(), "listening on") })
	return c
}
