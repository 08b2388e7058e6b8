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

// TestKillLosesNoDatagram kills the router again and again while clients send datagrams, DNS
// queries and pings as fast as they go: tcpdump sees none on the uplink whose flow is not on
// record.
func TestKillLosesNoDatagram(t *testing.T) {
	t.Parallel()
	requireTools(t, "tcpdump")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	for _, host := range addresses() {
		go answerNames(lab.Server.ListenPacket("udp", net.JoinHostPort(host, "53")))
		go echoDatagrams(lab.Server.ListenPacket("udp", net.JoinHostPort(host, "7000")))
	}
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, `
tun: {name: syntap0}
tap: {log: [{format: json, path: DIR/handshakes.json}]}
`)
	uplink := startCapture(t, lab.Router, "wan0", filepath.Join(r.dir, "uplink.pcap"),
		"outbound and (udp or icmp or icmp6)")
	rounds := scaled(6, 200)
	var sender datagramSender
	for range rounds {
		r.Process = lab.Router.Start(binary, "run", "-c", config)
		r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() {
				for ctx.Err() == nil {
					sender.send(ctx, lab)
				}
			})
		}
		before, until := sender.answers.Load(), 100+rand.Int64N(300)
		r.wait(t, "answers", func() bool { return sender.answers.Load()-before >= until })
		if err := r.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.ended(t, "SIGKILL")
		cancel()
		clients.Wait()
	}
	r.Process = lab.Router.Start(binary, "run", "-c", config) // mends the end
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	r.stop(t, unix.SIGTERM)

	r.records(t) // checks lines and numbers
	datagrams, _ := datagramRecords(t, r.read(t, "handshakes.json"))
	recorded := make(map[string]bool)
	for i := range datagrams {
		recorded[datagrams[i].says()] = true
	}
	packets := 0
	for _, payload := range uplink.stop(t) {
		packets++
		if !recorded[payload] {
			t.Errorf("%q is on the uplink and not on record", payload)
		}
	}
	reportf(t, "%d rounds of SIGKILL, %d datagrams on the uplink, %d on record", rounds, packets, len(datagrams))
	if packets < rounds*100 {
		t.Errorf("%d datagrams on the uplink, want at least %d", packets, rounds*100)
	}
}

// says returns the words that a datagramSender puts into the payload of the flow on record.
func (r *datagramRecord) says() string {
	switch {
	case r.DNS != nil:
		return "query " + r.DNS.Queries[0].Name
	case r.Proto == "icmp":
		return fmt.Sprintf("ping %s %d", r.Dst, r.Sport)
	}
	return fmt.Sprintf("datagram %s %d", r.Dst, r.Sport)
}

// datagramSender sends datagrams each of which says to which flow it belongs. No flow has the port,
// the identifier or the name of another.
type datagramSender struct {
	flows   atomic.Uint32
	answers atomic.Int64
}

// send sends the datagrams of one flow and waits for their answers for a moment.
func (s *datagramSender) send(ctx context.Context, lab *tuntest.Lab) {
	n := s.flows.Add(1)
	host, port := addresses()[n%2], int(1024+n%29000)
	network, address, payload := "udp", net.JoinHostPort(host, "7000"), fmt.Appendf(nil, "datagram %s %d", host, port)
	switch n / 2 % 3 {
	case 1:
		address = net.JoinHostPort(host, "53")
		payload = nameQuery(uint16(n), fmt.Sprintf("n%d.example.org.", n))
	case 2:
		network, address = []string{"ip4:icmp", "ip6:ipv6-icmp"}[n%2], host
		payload = pingRequest(host, uint16(n), fmt.Appendf(nil, "ping %s %d", host, uint16(n)))
	}
	var c net.Conn
	err := lab.Router.Do(func() (err error) {
		d := net.Dialer{}
		if network == "udp" {
			d.LocalAddr = &net.UDPAddr{Port: port}
		}
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for range 2 {
		_, _ = c.Write(payload)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1500)); err == nil {
			s.answers.Add(1)
		}
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

// stop ends the capture and returns what the datagrams, DNS queries and echo requests in it say.
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

// saidIn returns the words in a packet; "" for one that is none of a client's.
func saidIn(t *testing.T, b []byte) string {
	t.Helper()
	var h packet.Headers
	h.Parse(b, len(b))
	if h.Problem != packet.NoProblem || !h.Plain() || h.Length < h.Offset+8 {
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
