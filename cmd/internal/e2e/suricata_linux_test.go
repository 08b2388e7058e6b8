package e2e_test

import (
	"encoding/json"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// besideSuricata has Zeek's form, whose words are nearest to Suricata's.
const besideSuricata = `
tun: {name: syntap0}
egress: {dial_timeout: 1s, deny: [198.51.100.0/24], udp_timeout: 1s, icmp_timeout: 1s}
tap:
  log:
    - {format: json, path: DIR/handshakes.json}
    - {format: zeek, path: DIR/conn.log}
`

// TestBesideSuricata compares conn.log with the flows that Suricata finds in a capture of the TUN,
// joined by Community ID. configs/records.md explains where the two differ.
func TestBesideSuricata(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "tcpdump", "ping")
	requireSetgroups(t)
	if _, err := exec.LookPath("suricata"); err != nil {
		t.Skip("needs suricata")
	}
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", besideSuricata)
	tun := captureWith(t, lab, "-s", "2048")
	everyKind(t, lab)
	r.wait(t, "the ends of all flows", func() bool { return strings.Count(r.read(t, "conn.log"), "\n") >= 21 })
	tun.stop(t)
	r.stop(t, unix.SIGTERM)

	ours := make(map[string]zeekLine)
	for line := range strings.Lines(r.read(t, "conn.log")) {
		var c zeekLine
		must(t, json.Unmarshal([]byte(line), &c))
		ours[c.CommunityID] = c
	}
	const kinds = 2*(5+4+1) + 1
	if len(ours) != kinds {
		t.Errorf("%d connections, want %d", len(ours), kinds)
	}
	for _, theirs := range suricataFlows(t, tun.file) {
		c, ok := ours[theirs.CommunityID]
		delete(ours, theirs.CommunityID)
		switch {
		case theirs.isError() || strings.HasPrefix(theirs.DestIP, "ff02:"):
			// an ICMP error of IPv6, which has no connection of its own, or the kernel's own
			// multicast
		case !ok:
			t.Errorf("no connection for Suricata's %+v", theirs)
		default:
			for _, difference := range theirs.differences(c) {
				t.Errorf("%s: %+v, and by Suricata %+v", difference, c, theirs)
			}
		}
	}
	if len(ours) > 0 {
		t.Errorf("Suricata has no flow for %v", ours)
	}
}

// everyKind makes connections and flows of every kind, over both families.
func everyKind(t *testing.T, lab *tuntest.Lab) {
	t.Helper()
	secure := httptest.NewUnstartedServer(greeting)
	secure.Listener.Close()
	secure.Listener = lab.Server.Listen("tcp", ":443")
	secure.StartTLS()
	t.Cleanup(secure.Close)
	lab.Server.Drop(100, "input", "tcp dport 83")
	serveEchoes(lab)
	for i, host := range addresses() {
		lab.Router.Run("curl", "-sS", urls()[i])
		lab.Router.Run("curl", "-sSk", strings.Replace(urls()[i], "http:", "https:", 1))
		command(t, lab.Router, "curl", "-sS", "http://"+net.JoinHostPort(host, "81"))
		command(t, lab.Router, "curl", "-sS", "--max-time", "3", "http://"+net.JoinHostPort(host, "83"))
		lab.Router.Run("ping", "-n", "-i", "0.2", "-c", "2", host)
		reset, err := lab.Router.Dial(t.Context(), "tcp", net.JoinHostPort(host, "7000"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reset.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := reset.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		must(t, reset.(*net.TCPConn).SetLinger(0))
		must(t, reset.Close())
		datagrams(t, lab, host)
	}
	command(t, lab.Router, "curl", "-sS", "http://198.51.100.7")
}

// datagrams sends to a port that answers, one that does not, a closed one, and asks for a name.
func datagrams(t *testing.T, lab *tuntest.Lab, host string) {
	t.Helper()
	for port, answer := range map[string]func([]byte) []byte{
		"9000": func(b []byte) []byte { return b },
		"9001": nil,
		"53":   func(b []byte) []byte { b[2] |= 0x80; return b }, // a response
	} {
		server := lab.Server.ListenPacket("udp", net.JoinHostPort(host, port))
		go func() {
			b := make([]byte, 1500)
			for n, from, err := server.ReadFrom(b); err == nil; n, from, err = server.ReadFrom(b) {
				if answer != nil {
					_, _ = server.WriteTo(answer(b[:n]), from)
				}
			}
		}()
	}
	const query = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01"
	for port, payload := range map[string]string{"9000": "hello", "9001": "hello", "9002": "hello", "53": query} {
		c, err := lab.Router.Dial(t.Context(), "udp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(payload)); err != nil {
			t.Fatal(err)
		}
		must(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		_, _ = c.Read(make([]byte, 1500)) // some never come
	}
}

// must fails the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// zeekLine is a line of conn.log.
type zeekLine struct {
	Proto       string
	OrigH       netip.Addr `json:"id.orig_h"`
	OrigP       uint16     `json:"id.orig_p"`
	RespH       netip.Addr `json:"id.resp_h"`
	RespP       uint16     `json:"id.resp_p"`
	Service     string
	ConnState   string `json:"conn_state"`
	History     string
	OrigPkts    uint64 `json:"orig_pkts"`
	RespPkts    uint64 `json:"resp_pkts"`
	CommunityID string `json:"community_id"`
}

// suricataFlow is an event of type flow.
type suricataFlow struct {
	EventType   string `json:"event_type"`
	SrcIP       string `json:"src_ip"`
	SrcPort     uint16 `json:"src_port"`
	DestIP      string `json:"dest_ip"`
	DestPort    uint16 `json:"dest_port"`
	Proto       string
	AppProto    string `json:"app_proto"`
	CommunityID string `json:"community_id"`
	Flow        struct {
		PktsToServer uint64 `json:"pkts_toserver"`
		PktsToClient uint64 `json:"pkts_toclient"`
		State        string
	}
	TCP struct {
		State    string
		FIN, RST bool
	}
}

// isError reports whether a flow is ICMPv6 from the server alone.
func (f *suricataFlow) isError() bool {
	return f.Proto == "IPv6-ICMP" && netip.MustParseAddr(f.SrcIP) == netip.MustParseAddr(tuntest.ServerAddr6)
}

// differences returns the contradictions between Suricata's flow and a connection, but for those
// that configs/records.md explains.
func (f *suricataFlow) differences(c zeekLine) (all []string) {
	differ := func(what string, equal bool) {
		if !equal {
			all = append(all, what)
		}
	}
	differ("client", netip.MustParseAddr(f.SrcIP) == c.OrigH)
	differ("server", netip.MustParseAddr(f.DestIP) == c.RespH)
	differ("protocol", f.Proto == strings.ToUpper(c.Proto) || f.Proto == "IPv6-ICMP" && c.Proto == "icmp")
	differ("service", c.Service == map[string]string{"tls": "ssl", "http": "http", "dns": "dns"}[f.AppProto])
	want := map[string]string{"established": "SF", "new": "S0"}[f.Flow.State]
	switch {
	case f.Proto == "TCP":
		want = f.state()
	case c.Proto == "icmp":
		want = "OTH"
	}
	denied := c.RespH == netip.MustParseAddr("198.51.100.7") && c.ConnState == "REJ"
	differ("state "+want, c.ConnState == want || denied)
	if c.Proto == "icmp" {
		differ("packets", c.OrigPkts == f.Flow.PktsToServer && c.RespPkts == f.Flow.PktsToClient)
		return all
	}
	differ("ports", f.SrcPort == c.OrigP && f.DestPort == c.RespP)
	if c.Proto == "udp" {
		answers := f.Flow.PktsToClient
		if c.RespP == 9002 && c.RespH.Is4() { // an ICMP error counts as a packet of its flow
			answers--
		}
		differ("packets", c.OrigPkts == f.Flow.PktsToServer && c.RespPkts == answers)
	}
	return all
}

// state returns Zeek's word for the state of a TCP flow.
func (f *suricataFlow) state() string {
	switch {
	case f.TCP.State == "syn_sent":
		return "S0"
	case f.TCP.FIN: // a RST behind it is not the end's begin
		return "SF"
	case f.TCP.RST && f.Flow.PktsToServer == 1:
		return "REJ"
	case f.TCP.RST:
		return "RSTO" // the client of everyKind resets
	}
	return "S1"
}

// suricataFlows returns the flows that Suricata finds in a capture.
func suricataFlows(t *testing.T, file string) (flows []suricataFlow) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "suricata.yaml")
	must(t, os.WriteFile(config, []byte(`%YAML 1.1
---
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, community-id: true, types: [flow]}
app-layer:
  protocols:
    tls: {enabled: yes, detection-ports: {dp: 443}}
    http: {enabled: yes}
    dns: {tcp: {enabled: yes}, udp: {enabled: yes}}
`), 0o600))
	out, err := exec.Command("suricata", "-c", config, "-r", file, "-l", dir, "-k", "none", "-S", "/dev/null").CombinedOutput()
	if err != nil {
		t.Fatalf("suricata: %v\n%s", err, out)
	}
	eve, err := os.ReadFile(filepath.Join(dir, "eve.json"))
	must(t, err)
	for line := range strings.Lines(string(eve)) {
		var f suricataFlow
		must(t, json.Unmarshal([]byte(line), &f))
		if f.EventType == "flow" {
			flows = append(flows, f)
		}
	}
	return flows
}
