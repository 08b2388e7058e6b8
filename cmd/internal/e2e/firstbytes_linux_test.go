package e2e_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// saidRecord is what the record of a flow tells of the client's first bytes.
type saidRecord struct {
	Msg      string
	DPort    int
	Dst      string
	Name     string
	SNI      string
	ALPN     []string
	Version  string `json:"tls_version"`
	ECH      bool
	Host     string `json:"http_host"`
	Conflict bool   `json:"name_conflict"`
	DNS      *struct {
		Queries []struct{ Name, Type string }
		RCode   string
		Answers []struct{ Name, Type, Data string }
	}
}

func (r *saidRecord) String() string {
	s := fmt.Sprintf("%s %d: name %q", r.Dst, r.DPort, r.Name)
	if r.SNI != "" || r.Version != "" {
		s += fmt.Sprintf(", TLS %s to %s %q", r.Version, r.SNI, r.ALPN)
	}
	if r.Host != "" {
		s += ", HTTP to " + r.Host
	}
	if r.ECH {
		s += ", ECH"
	}
	if r.Conflict {
		s += ", conflict"
	}
	if r.DNS != nil {
		s += fmt.Sprintf(", DNS %v %s %v", r.DNS.Queries, r.DNS.RCode, r.DNS.Answers)
	}
	return s
}

// trickle is a connection that sends one byte at a time.
type trickle struct{ net.Conn }

func (c trickle) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := c.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestFirstBytes has programs ask for a name over TCP and talk TLS and HTTP to the address. The
// ends of their connections say so, and whether it was for the name that the address has.
func TestFirstBytes(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq")
	lab := tuntest.NewLab(t)
	newNamed(t, lab)
	for _, port := range []string{"443", "80"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
		_ = s.Listener.Close()
		s.Listener = lab.Server.Listen("tcp", addrOfWWW+":"+port)
		if port == "443" {
			s.EnableHTTP2 = true
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
	}
	r := run(t, lab.Router, "syntap0", everything)

	curl := func(url string) {
		t.Helper()
		host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://"), "/")
		args := []string{"--insecure", "--silent", "--show-error", "--max-time", "60", "--connect-to", host + "::" + addrOfWWW + ":", url}
		if got := command(t, lab.Router, "curl", args...); got.status != 0 || got.stdout != "hello" {
			t.Errorf("curl %s: %+v", url, got)
		}
	}
	curl("https://early.example.com/") // before a name is asked for
	if got := command(t, lab.Router, "dig", "+tcp", "+short", "+tries=1", "+timeout=60", "@"+resolver, "www.example.com"); got.stdout != addrOfWWW+"\n" {
		t.Errorf("dig: %+v", got)
	}
	curl("https://www.example.com/")
	curl("https://other.example.com/")
	curl("http://www.example.com/")
	curl("http://other.example.com/")
	if got := command(t, lab.Router, "curl", "--silent", "--max-time", "60", "http://"+addrOfWWW+"/"); got.stdout != "hello" {
		t.Errorf("curl: %+v", got)
	}
	conn, err := lab.Router.Dial(t.Context(), "tcp4", addrOfWWW+":443")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).SetNoDelay(true)
	secure := tls.Client(trickle{conn}, &tls.Config{ServerName: "slow.example.com", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err := secure.Handshake(); err != nil {
		t.Errorf("a ClientHello in single bytes: %v", err)
	}
	_ = secure.Close()
	command(t, lab.Router, "nc", "-w", "30", addrOfWWW, "22")
	r.stop(t, unix.SIGTERM)

	var got []string
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var f saidRecord
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		if f.Msg == "flow" {
			got = append(got, f.String())
		}
	}
	tlsTo := addrOfWWW + ` 443: name "www.example.com", TLS `
	httpTo := addrOfWWW + ` 80: name "www.example.com", HTTP to `
	want := []string{
		addrOfWWW + ` 443: name "", TLS 1.3 to early.example.com ["h2" "http/1.1"]`,
		resolver + ` 53: name "", DNS [{www.example.com A}] NOERROR [{www.example.com A ` + addrOfWWW + `}]`,
		tlsTo + `1.3 to www.example.com ["h2" "http/1.1"]`,
		tlsTo + `1.3 to other.example.com ["h2" "http/1.1"], conflict`,
		httpTo + "www.example.com",
		httpTo + "other.example.com, conflict",
		httpTo + addrOfWWW,
		tlsTo + `1.2 to slow.example.com [], conflict`,
		addrOfWWW + ` 22: name "www.example.com"`,
	}
	slices.Sort(want)
	slices.Sort(got) // a connection may end after the next one has
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
}
