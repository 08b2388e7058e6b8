package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	pcap "syntap/tap/capture"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// answerNames answers DNS queries: names that begin with "no" do not exist, those with "silent" get
// no answer, all others have an address.
func answerNames(c net.PacketConn) {
	b := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(b[:n]) != nil || len(m.Questions) == 0 {
			continue
		}
		answer := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: m.ID, Response: true, RCode: dnsmessage.RCodeNameError},
			Questions: m.Questions[:1],
		}
		if reply, err := answer.Pack(); err == nil {
			_, _ = c.WriteTo(reply, from)
		}
	}
}

// TestKillLosesNoFlow kills the router again and again while clients send datagrams, DNS queries,
// pings and bytes of connections as fast as they go: tcpdump sees none on the uplink whose flow is
// not on record. The chain of the log goes through all runs.
func TestKillLosesNoFlow(t *testing.T) {
	t.Parallel()
	requireTools(t, "tcpdump")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	sender := newFlowSender(lab)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {log: [{format: json, path: DIR/handshakes.json, chain: true}]}
`)
	uplink := startCapture(t, lab.Router, "wan0", filepath.Join(r.dir, "uplink.pcap"),
		"outbound and (udp or icmp or icmp6 or tcp or ip6 proto 6)")
	rounds, least := scaled(6, 200), int64(100)
	if soak() {
		least = 450
	}
	for range rounds {
		r.Process = lab.Router.Start(binary, "run", "-c", config)
		r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for ctx.Err() == nil {
					sender.send(ctx)
				}
			})
		}
		until := sender.answered.Load() + least + rand.Int64N(300)
		for at := sender.answered.Load(); at < until; at = sender.answered.Load() { // a busy machine is slow
			r.wait(t, "an answer", func() bool { return sender.answered.Load() > at })
		}
		if err := r.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.ended(t, "SIGKILL")
		cancel()
		clients.Wait()
	}
	r.Process = lab.Router.Start(binary, "run", "-c", config) // mends the end
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	sent := uplink.stop(t) // a router that has stopped in order does not keep anything from leaving
	r.stop(t, unix.SIGTERM)

	r.records(t) // checks lines and numbers
	verified := command(t, lab.Router, binary, "verify", filepath.Join(r.dir, "handshakes.json"))
	if verified.status != 0 || !strings.Contains(verified.stdout, "\n1 run is complete: ") {
		t.Errorf("verify: %+v", verified)
	}
	kinds := checkOnRecord(t, sent, r.read(t, "handshakes.json"))
	reportf(t, "%d rounds of SIGKILL, %d packets of payload on the uplink, flows: %v", rounds, len(sent), kinds)
	for _, kind := range flowKinds {
		if kinds[kind] < rounds*int(least)/8 {
			t.Errorf("%d flows of kind %s on the uplink, want at least %d", kinds[kind], kind, rounds*int(least)/8)
		}
	}
}

// checkOnRecord looks in a log for the flows whose words were on the uplink, and counts them by
// kind.
func checkOnRecord(t *testing.T, sent []string, log string) (kinds map[string]int) {
	t.Helper()
	recorded := make(map[string]bool)
	for _, record := range flowRecords(t, log) {
		if record.Msg == "datagram" || record.Outcome == "established" && record.Msg == "handshake" {
			recorded[record.says()] = true
		}
	}
	kinds = make(map[string]int)
	seen := make(map[string]bool)
	for _, said := range sent {
		if !recorded[said] {
			t.Errorf("%q is on the uplink and not on record", said)
		}
		if kind, _, _ := strings.Cut(said, " "); !seen[said] {
			seen[said] = true
			kinds[kind]++
		}
	}
	return kinds
}

// flowKinds are the kinds of flows that a flowSender sends.
var flowKinds = []string{"datagram", "query", "ping", "stream"}

// says returns the words that a flowSender puts into the payload of the flow on record.
func (r *flowRecord) says() string {
	switch {
	case r.DNS != nil:
		return "query " + r.DNS.Queries[0].Name
	case r.Proto == "icmp":
		return fmt.Sprintf("ping %s %d", r.Dst, r.Sport)
	case r.Proto == "tcp":
		return fmt.Sprintf("stream %s %d", r.Dst, r.Sport)
	}
	return fmt.Sprintf("datagram %s %d", r.Dst, r.Sport)
}

// flowSender sends packets each of which says to which flow it belongs. No flow has the host and
// port, the identifier or the name of another.
type flowSender struct {
	lab      *tuntest.Lab
	hosts    []string
	flows    atomic.Uint32
	answered atomic.Int64 // flows
}

// newFlowSender starts servers that answer.
func newFlowSender(lab *tuntest.Lab) *flowSender {
	s := &flowSender{lab: lab}
	haveAll(lab.Server)
	for i := range 8 {
		s.hosts = append(s.hosts, fmt.Sprintf("203.0.113.%d", 10+i), fmt.Sprintf("2001:db8:3::%d", 10+i))
	}
	for _, host := range s.hosts {
		go answerNames(lab.Server.ListenPacket("udp", net.JoinHostPort(host, "53")))
		go echoDatagrams(lab.Server.ListenPacket("udp", net.JoinHostPort(host, "7000")))
	}
	serveEcho(lab.Server, ":7000")
	return s
}

// send sends the packets of one flow and waits for their answers for a moment.
func (s *flowSender) send(ctx context.Context) {
	kinds := len(flowKinds)
	n := int(s.flows.Add(1))
	host, kind := s.hosts[n%len(s.hosts)], n/len(s.hosts)%kinds
	own := n/len(s.hosts)/kinds*len(s.hosts) + n%len(s.hosts) // among those of its kind
	port := 1024 + own%29000                                  // below those that the router's sockets have
	network, address, payload := "udp", net.JoinHostPort(host, "7000"), fmt.Appendf(nil, "datagram %s %d", host, port)
	var dialer net.Dialer
	switch kind {
	case 0:
		dialer.LocalAddr = &net.UDPAddr{Port: port}
	case 1:
		address = net.JoinHostPort(host, "53")
		payload = nameQuery(uint16(n), fmt.Sprintf("n%d.example.org.", n))
	case 2:
		network, address = "ip4:icmp", host
		if strings.Contains(host, ":") {
			network = "ip6:ipv6-icmp"
		}
		payload = pingRequest(host, uint16(own), fmt.Appendf(nil, "ping %s %d", host, uint16(own)))
	case 3:
		network, payload = "tcp", fmt.Appendf(nil, "stream %s %d\n", host, port)
		dialer.LocalAddr = &net.TCPAddr{Port: port}
	}
	var c net.Conn
	err := s.lab.Router.Do(func() (err error) {
		c, err = dialer.DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	answers := 0
	for range 2 {
		_, _ = c.Write(payload)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1500)); err == nil {
			answers++
		}
	}
	if answers > 0 {
		s.answered.Add(1)
	}
}

func nameQuery(id uint16, name string) []byte {
	b, _ := (&dnsmessage.Message{
		Header: dnsmessage.Header{ID: id},
		Questions: []dnsmessage.Question{{
			Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
		}},
	}).Pack()
	return b
}

func pingRequest(host string, id uint16, data []byte) []byte {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(id), Seq: 1, Data: data}}
	if strings.Contains(host, ":") {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, _ := m.Marshal(nil)
	return b
}

// linkCapture is a tcpdump that writes a link's packets to a file.
type linkCapture struct {
	*tuntest.Process
	file string
}

func startCapture(t *testing.T, ns *tuntest.Namespace, link, file, filter string) *linkCapture {
	t.Helper()
	c := &linkCapture{file: file}
	c.Process = ns.Start("tcpdump", "-i", link, "-n", "-U", "-B", "65536", "--immediate-mode", "-w", file, filter)
	tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(c.Stderr(), "listening on") })
	return c
}

// stop ends the capture and returns the words of all clients in it.
func (c *linkCapture) stop(t *testing.T) (all []string) {
	t.Helper()
	if err := c.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if !strings.Contains(c.Stderr(), "\n0 packets dropped by kernel") {
		t.Fatalf("tcpdump has not seen all: %s", c.Stderr())
	}
	f, err := os.Open(c.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packets, err := pcap.NewReader(f)
	for err == nil {
		var p *pcap.Packet
		if p, err = packets.Next(); err == nil {
			if said := saidIn(t, p.Network); said != "" {
				all = append(all, said)
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return all
}

// saidIn returns the words in a packet; "" for one that carries none of a client's.
func saidIn(t *testing.T, b []byte) string {
	t.Helper()
	var h packet.Headers
	h.Parse(b, len(b))
	if h.Problem != packet.NoProblem || !h.Plain() {
		t.Fatalf("an odd packet on the uplink: %x", b)
	}
	if h.TCP {
		line, _, _ := strings.Cut(string(b[h.End:h.Length]), "\n") // both may have gone together
		return line
	}
	if h.Length < h.Offset+8 {
		t.Fatalf("no datagram on the uplink: %x", b)
	}
	m := b[h.Offset:h.Length]
	if h.Proto != packet.ProtoUDP {
		if m[0] != packet.ICMPEchoRequest && m[0] != packet.ICMPv6EchoRequest {
			return "" // neighbour discovery
		}
		return string(m[8:])
	}
	if h.DstPort == 53 {
		var q dnsmessage.Message
		if err := q.Unpack(m[8:]); err != nil {
			t.Fatalf("no query on the uplink: %x", b)
		}
		return "query " + strings.TrimSuffix(q.Questions[0].Name.String(), ".")
	}
	return string(m[8:])
}
