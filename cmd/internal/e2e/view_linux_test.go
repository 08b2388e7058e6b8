package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// viewAddress is where the routers of these tests show themselves.
const viewAddress = "127.0.0.1:9153"

// viewed is a config of a router that shows itself; DIR stands for its directory.
const viewed = everything + `
http: {listen: "` + viewAddress + `"}
mss: [{clamp: 1360}]
`

// TestView makes connections of several outcomes and asks the router about them in every way there
// is.
func TestView(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nc", "hping3")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", viewed)
	get := func(path string) string { return lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+path) }

	events := lab.Router.Start("curl", "-sSN", "http://"+viewAddress+"/api/events")
	r.wait(t, "the subscriber", func() bool { return strings.Contains(get("/metrics"), "\nsyntap_event_subscribers 1\n") })
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	if got := command(t, lab.Router, "nc", "-z", tuntest.ServerAddr4, "81"); got.status != 1 {
		t.Errorf("nc to a closed port: %+v", got)
	}
	r.waitRecords(t, 3)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if got := get(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}

	// Every form of a record is that of the JSON log, but that handshakes are numbered without the
	// ends of connections.
	var logged []string
	number := regexp.MustCompile(`"msg":"handshake","seq":\d+`)
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		if strings.Contains(line, `"msg":"handshake"`) {
			logged = append(logged, number.ReplaceAllString(strings.TrimSpace(line), fmt.Sprintf(`"msg":"handshake","seq":%d`, len(logged)+1)))
		}
	}
	var listed []json.RawMessage
	if err := json.Unmarshal([]byte(get("/api/handshakes?limit=3")), &listed); err != nil {
		t.Fatal(err)
	}
	var fromAPI, streamed []string
	for _, record := range listed {
		fromAPI = append([]string{string(record)}, fromAPI...) // the newest comes first
	}
	if diff := cmp.Diff(logged, fromAPI); diff != "" {
		t.Errorf("/api/handshakes (-log +API):\n%s", diff)
	}
	if got := get("/api/handshakes?outcome=refused"); strings.Count(got, `"msg"`) != 1 || !strings.Contains(got, `"dport":81`) {
		t.Errorf("refused handshakes: %s, want that to port 81", got)
	}
	r.wait(t, "three events", func() bool {
		streamed = nil
		for line := range strings.Lines(events.Stdout()) {
			if data, ok := strings.CutPrefix(line, "data: "); ok && strings.HasSuffix(data, "\n") {
				streamed = append(streamed, strings.TrimSpace(data))
			}
		}
		return len(streamed) == 3
	})
	if diff := cmp.Diff(logged, streamed); diff != "" {
		t.Errorf("/api/events (-log +events):\n%s", diff)
	}

	status := command(t, lab.Router, binary, "status", "--json", "--at", viewAddress)
	var counted struct{ Handshakes, Drops map[string]int }
	if err := json.Unmarshal([]byte(status.stdout), &counted); err != nil || counted.Handshakes["established"] != 2 || counted.Handshakes["refused"] != 1 {
		t.Errorf("status --json: %v, %+v", err, status)
	}
	rewritten := make(map[string]int) // MSS options; a machine that stalls has segments repeated
	for _, record := range r.records(t) {
		for _, w := range record.Rewrites {
			rewritten[w.Packet]++
		}
	}
	if rewritten["syn"] < 3 || rewritten["synack"] < 2 {
		t.Errorf("records of rewrites: %v", rewritten)
	}
	if got := command(t, lab.Router, binary, "status", "-c", filepath.Join(r.dir, "syntap.yaml")); got.status != 0 || !strings.Contains(got.stdout, "2 established, 1 refused\n") || !strings.Contains(got.stdout, fmt.Sprintf("mss rule 1: %d by ", rewritten["syn"]+rewritten["synack"])) {
		t.Errorf("status: %+v", got)
	}

	var metrics string
	tuntest.Wait(t, "the records of three handshakes and of two ends", func() bool {
		metrics = get("/metrics")
		return strings.Contains(metrics, "\nsyntap_log_records_total 5\n")
	})
	for _, want := range []string{
		`syntap_handshakes_total{outcome="established"} 2`,
		`syntap_handshakes_total{outcome="refused"} 1`,
		`syntap_handshake_seconds_count 2`,
		`syntap_dial_seconds_count 2`,
		fmt.Sprintf(`syntap_mss_rewrites_total{packet="syn"} %d`, rewritten["syn"]),
		fmt.Sprintf(`syntap_mss_rewrites_total{packet="synack"} %d`, rewritten["synack"]),
		`syntap_log_lost_total{reason="queue_full"} 0`,
		`syntap_half_open 0`,
	} {
		if !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if !strings.Contains(metrics, `syntap_drops_total{reason="tun_queue"} `) {
		t.Error("metrics lack what the kernel dropped before syntap")
	}
	for _, name := range []string{"tun_frames_total", "tun_bytes_total"} {
		for _, direction := range []string{"outbound", "inbound"} {
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^syntap_%s{direction="%s"} [1-9]`, name, direction)).MatchString(metrics) {
				t.Errorf("metrics lack %s of direction %s", name, direction)
			}
		}
	}

	// No flood adds a series, and no address shows.
	lab.Router.Run("hping3", "-q", "-n", "-S", "-p", "++1000", "-i", "u100", "-c", "3000", tuntest.ServerAddr4)
	command(t, lab.Router, "hping3", "-q", "-n", "-S", "-p", "80", "-i", "u20", "-c", "5000", "--rand-source", tuntest.ServerAddr4) // fails: no answer comes
	flooded := get("/metrics")
	if n := len(regexp.MustCompile(`(?m)^[a-z]`).FindAllString(flooded, -1)); n >= 500 {
		t.Errorf("%d series after a flood, want less than 500", n)
	}
	for _, address := range addresses() {
		if strings.Contains(flooded, address) {
			t.Errorf("metrics show the address %s", address)
		}
	}
	if got := command(t, lab.Router, "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example", "http://"+viewAddress+"/api/status"); got.stdout != "403" {
		t.Errorf("a rebound name: %+v, want status 403", got)
	}
	r.stop(t, unix.SIGTERM)
}

// TestViewAfterRestart has a router show the connections of the run before.
func TestViewAfterRestart(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", viewed)
	lab.Router.Run("curl", "-sS", urls()[0])
	r.stop(t, unix.SIGTERM)
	r.Process = lab.Router.Start(binary, "run", "-c", filepath.Join(r.dir, "syntap.yaml"))
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	lab.Router.Run("curl", "-sS", urls()[1])
	for _, path := range []string{"/api/handshakes?filter=tcp", "/api/flows?filter=tcp"} {
		var records []record
		tuntest.Wait(t, path+" to have both", func() bool {
			records = nil
			_ = json.Unmarshal([]byte(lab.Router.Run("curl", "-sS", "http://"+viewAddress+path)), &records)
			return len(records) == 2
		})
		if records[0].Dst != tuntest.ServerAddr6 || records[1].Dst != tuntest.ServerAddr4 {
			t.Errorf("%s: %+v, want the newest first", path, records)
		}
	}
	r.stop(t, unix.SIGTERM)
}

// TestViewOfDatagrams asks for a name and pings, and looks at both in the API and in the terminal.
func TestViewOfDatagrams(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "ping", "tmux")
	lab := tuntest.NewLab(t)
	serveNames(t, lab.Server, "--interface=eth0")
	r := run(t, lab.Router, "syntap0", viewed)
	events := lab.Router.Start("curl", "-sSN", "http://"+viewAddress+"/api/connections?after=0&filter=icmp")
	top := newTerminal(t, lab.Router, "160x40", binary, "top", "-c", filepath.Join(r.dir, "syntap.yaml"))
	lab.Router.Run("dig", "+short", "@"+tuntest.ServerAddr4, "www.example.com", "A")
	lab.Router.Run("ping", "-c", "1", tuntest.ServerAddr6)

	var flows []datagramRecord
	tuntest.Wait(t, "the end of the query", func() bool {
		flows = nil
		_ = json.Unmarshal([]byte(lab.Router.Run("curl", "-sS", "http://"+viewAddress+"/api/flows?filter=query:www.example.com")), &flows)
		return len(flows) == 1
	})
	if f := flows[0]; f.Proto != "udp" || f.Outcome != "answered" || f.DatagramSeq == 0 || f.DNS == nil || f.DNS.RCode != "NOERROR" {
		t.Errorf("flow of the query: %+v", f)
	}
	r.wait(t, "the ping in the stream", func() bool {
		return strings.Contains(events.Stdout(), `"msg":"datagram"`) && strings.Contains(events.Stdout(), `"dst":"`+tuntest.ServerAddr6+`"`)
	})
	if strings.Contains(events.Stdout(), `"proto":"udp"`) {
		t.Errorf("a stream of pings has others: %s", events.Stdout())
	}
	top.wait("answered", "A www.example.com", tuntest.ServerAddr4+":53/udp", tuntest.ServerAddr6+" icmp", " root ")
	top.keys("q")
	r.stop(t, unix.SIGTERM)
}

// TestViewOfClient asks for the view through the TUN: it is not for those whose traffic is routed.
func TestViewOfClient(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	socket := filepath.Join(t.TempDir(), "http.sock")
	config := filepath.Join(t.TempDir(), "syntap.yaml")
	if err := os.WriteFile(config, []byte(`{http: {listen: "`+viewAddress+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{viewAddress, "198.18.0.2:9153"} {
		if got := command(t, lab.Router, binary, "exec", "-c", config, "--", "curl", "-sS", "http://"+address+"/"); got.status != 7 {
			t.Errorf("curl %s in exec: %+v, want exit status 7, not connected", address, got)
		}
	}
	// A program outside does see the command.
	if err := os.WriteFile(config, []byte(`{http: {listen: "unix:`+socket+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got := command(t, lab.Router, binary, "exec", "-c", config, "--", "curl", "-sS", "--unix-socket", socket, "http://localhost/readyz")
	if got.status != 0 || got.stdout != "ready\n" {
		t.Errorf("curl %s in exec: %+v, want ready", socket, got)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Errorf("%s is left behind", socket)
	}
}
