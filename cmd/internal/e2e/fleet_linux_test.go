package e2e_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/fleet/fleettest"
	"syntap/tun/tuntest"
)

// store is VictoriaLogs behind a proxy of the lab's server, which asks for a token and speaks TLS.
type store struct {
	*fleettest.VictoriaLogs
	port string // of the proxy
}

const storeToken = "open sesame"

func startStore(t *testing.T, lab *tuntest.Lab, dir string) *store {
	t.Helper()
	s := &store{VictoriaLogs: fleettest.StartVictoriaLogs(t)}
	target, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+storeToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	_ = server.Listener.Close()
	server.Listener = lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "0"))
	pair, ca := fleettest.Certificate(t, tuntest.ServerAddr4)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, s.port, _ = net.SplitHostPort(server.Listener.Addr().String())
	for name, text := range map[string][]byte{"ca.pem": ca, "token": []byte(storeToken + "\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// lines returns the lines of all logs of a router in their order.
func (s *store) lines(t *testing.T, router string) []string {
	t.Helper()
	query := url.Values{"query": {fmt.Sprintf(`router:=%q seq:* | fields seq, _msg | sort by (seq)`, router)}}
	answer, err := http.PostForm(s.URL+"/select/logsql/query", query)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var all []string
	rows := bufio.NewScanner(answer.Body)
	rows.Buffer(nil, 8<<20)
	for rows.Scan() {
		var row struct {
			Msg string `json:"_msg"`
		}
		if err := json.Unmarshal(rows.Bytes(), &row); err != nil {
			t.Fatalf("%v: %s", err, rows.Bytes())
		}
		all = append(all, row.Msg)
	}
	if err := rows.Err(); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("answer to a query: %s, %v", answer.Status, err)
	}
	return all
}

// rotatedLog is the config of a router whose log is rotated all the time.
const rotatedLog = `
tun: {name: syntap0}
tap: {log: [{format: json, path: DIR/handshakes.json, max_size: 64KiB, compress: true, chain: true}]}
http: {listen: "unix:DIR/http.sock"}
`

// fleetConfig has the router ship such a log. cert is the directory of the certificate and the
// token.
func (s *store) fleetConfig(cert string) string {
	return rotatedLog + `
fleet:
  router: gate-1
  stores: [{url: "https://` + net.JoinHostPort(tuntest.ServerAddr4, s.port) + `", ca: ` + cert + `/ca.pem, token: ` + cert + `/token}]
`
}

// The records of a router lie in a store as they lie in its log, byte for byte and each once, from
// the first one on, although the store is named later. The router's own connections to the store do
// not pass through the TUN, although the store's address does.
func TestFleet(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	dir := t.TempDir()
	s := startStore(t, lab, dir)
	serveEchoes(lab)
	r := run(t, lab.Router, "syntap0", rotatedLog)
	connectEchoes(t, lab, 100)
	r.writeConfig(t, s.fleetConfig(dir))
	if err := r.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	connectEchoes(t, lab, 100)
	r.wait(t, "records in the store", func() bool { return len(s.lines(t, "gate-1")) > 200 })
	var status struct {
		Fleet []struct {
			Records uint64 `json:"records"`
			Error   string `json:"error"`
		} `json:"fleet"`
	}
	out := lab.Router.Run(binary, "status", "--json", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))
	if err := json.Unmarshal([]byte(out), &status); err != nil || len(status.Fleet) != 1 || status.Fleet[0].Records == 0 || status.Fleet[0].Error != "" {
		t.Errorf("status %+v, %v", status, err)
	}
	r.stop(t, unix.SIGTERM)
	s.compare(t, r, lab)
}

// TestFleetKills kills router and store at random, also while the store stands still, under
// connections and a log that is rotated: the store has each record once. It takes the proof's half
// minutes, so it is for soaks alone.
func TestFleetKills(t *testing.T) {
	if !soak() {
		t.Skip("needs SYNTAP_SOAK=1")
	}
	t.Parallel()
	lab := tuntest.NewLab(t)
	dir := t.TempDir()
	s := startStore(t, lab, dir)
	serveEchoes(lab)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, s.fleetConfig(dir))
	start := func() {
		r.Process = lab.Router.Start(binary, "run", "-c", config)
		r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	}
	start()
	const rounds = 200
	for range rounds {
		connectEchoes(t, lab, 10+rand.IntN(100))
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond) // at any time of a request, a question or a proof
		switch rand.IntN(4) {
		case 0:
			s.Kill()
			connectEchoes(t, lab, rand.IntN(50))
			s.Start()
		case 1:
			s.Signal(unix.SIGSTOP)
			connectEchoes(t, lab, rand.IntN(50))
			time.Sleep(time.Duration(rand.IntN(5000)) * time.Millisecond)
			if rand.IntN(2) == 0 {
				s.Kill()
				s.Start()
			} else {
				s.Signal(unix.SIGCONT)
			}
		default:
			if err := r.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.ended(t, "SIGKILL")
			start()
		}
	}
	r.stop(t, unix.SIGTERM)
	s.compare(t, r, lab)
	lines := s.lines(t, "gate-1")
	reportf(t, "%d rounds of kills, %d records, each once", rounds, len(lines))
}

// compare waits until the store has the router's log, which has ended.
func (s *store) compare(t *testing.T, r *router, lab *tuntest.Lab) {
	t.Helper()
	out := lab.Router.Run("sh", "-c", fmt.Sprintf("%s log --json %s", binary, strings.Join(append(r.files(t, "handshakes-*.json.gz"), filepath.Join(r.dir, "handshakes.json")), " ")))
	want := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	var got []string
	for again := 0; len(got) < len(want); again++ {
		if again == 100 { // the stop was too short for the rest: the next run sends it
			lab.Router.Start(binary, "run", "-c", filepath.Join(r.dir, "syntap.yaml"))
		}
		if again > 1500 {
			t.Fatalf("%d of %d lines have arrived", len(got), len(want))
		}
		time.Sleep(100 * time.Millisecond)
		got = s.lines(t, "gate-1")
	}
	got = got[:len(want)]
	if a, b := strings.Join(want, "\n"), strings.Join(got, "\n"); a != b {
		t.Errorf("%d lines in the store, %d in the log, or others", len(got), len(want))
	}
	for _, line := range want {
		if strings.Contains(line, `"dport":`+s.port+",") {
			t.Errorf("the router has a record of its own connection to the store: %s", line)
		}
	}
	if last := want[len(want)-1]; !strings.Contains(last, `"msg":"end"`) {
		t.Errorf("the last record is %s", last)
	}
}
