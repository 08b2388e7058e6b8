package victorialogs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/fleet/fleettest"
	"syntap/cmd/internal/fleet/otlp"
	"syntap/tun/tuntest"
)

const configs = "../../../../configs/fleet/"

// proxy is a proxy in front of a store, as configs/fleet has it.
type proxy struct {
	store           string // its URL
	routers         string // URL for routers
	readers         string // URL for readers
	options         func(user string) otlp.Options
	forgedIdentity  func() otlp.Options // whose name has another in it; may be nil
	withoutIdentity otlp.Options
}

// startNginx starts nginx with the config that comes with syntap.
func startNginx(t *testing.T) *proxy {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil || os.Geteuid() != 0 {
		if os.Getenv("SYNTAP_REQUIRE_NETNS") == "1" {
			t.Fatalf("needs nginx, and root: %v", err)
		}
		t.Skip("needs nginx, and root")
	}
	text, err := os.ReadFile(configs + "nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store := fleettest.StartVictoriaLogs(t).URL
	address := fleettest.Address().String()
	ca, routers, readers := fleettest.NewAuthority(t, dir, "ca"), fleettest.NewAuthority(
		t,
		dir,
		"routers-ca",
	), fleettest.NewAuthority(t, dir, "readers-ca")
	ca.Issue("store", address)
	config := strings.NewReplacer(
		"127.0.0.1:9428", strings.TrimPrefix(store, "http://"), "/etc/syntap/fleet", dir, "listen ",
		"listen "+address+":", "events {}", "events {}\nerror_log stderr;\npid "+dir+"/pid;",
		"http {", fmt.Sprintf("http {\n%s", tempPaths(dir)),
	).Replace(string(text))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(nginx, "-t", "-q", "-c", file).CombinedOutput(); err != nil ||
		len(out) > 0 {
		t.Fatalf("nginx -t: %v\n%s", err, out)
	}
	fleettest.Start(t, nginx, "-c", file, "-g", "daemon off; user root;")
	return &proxy{
		store: store, routers: "https://" + address + ":9441", readers: "https://" + address + ":9451",
		withoutIdentity: otlp.Options{CA: ca.File},
		options: func(user string) otlp.Options {
			authority := routers
			if user == "reader" {
				authority = readers
			}
			cert, key := authority.Issue(user)
			return otlp.Options{CA: ca.File, Cert: cert, Key: key}
		},
		forgedIdentity: func() otlp.Options {
			cert, key := routers.Issue("gw1,CN=gw2")
			return otlp.Options{CA: ca.File, Cert: cert, Key: key}
		},
	}
}

// tempPaths are the directories of nginx that its package has elsewhere.
func tempPaths(dir string) (directives string) {
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		directives += fmt.Sprintf("%s_temp_path %s/%[1]s;\n", name, dir)
	}
	return directives
}

// startVMAuth starts vmauth with the config that comes with syntap.
func startVMAuth(t *testing.T) *proxy {
	t.Helper()
	program := fleettest.Program(t, fleettest.VMAuthModule)
	text, err := os.ReadFile(configs + "vmauth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store := fleettest.StartVictoriaLogs(t).URL
	address := fleettest.Address().String()
	ca := fleettest.NewAuthority(t, dir, "ca")
	cert, key := ca.Issue("store", address)
	tokens := []string{
		"%{SYNTAP_TOKEN_GW1}",
		"token-gw1",
		"%{SYNTAP_TOKEN_GW2}",
		"token-gw2",
		"%{SYNTAP_TOKEN_READER}",
		"token-reader",
	}
	config := strings.NewReplacer(append(tokens, "http://127.0.0.1:9428", store)...).
		Replace(string(text))
	file := filepath.Join(dir, "vmauth.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	fleettest.Start(
		t, program, "-auth.config="+file, "-httpInternalListenAddr="+address+":9440", "-httpListenAddr="+address+":9441", "-tls",
		"-tlsCertFile="+cert, "-tlsKeyFile="+key,
	)
	return &proxy{
		store: store, routers: "https://" + address + ":9441", readers: "https://" + address + ":9441",
		withoutIdentity: otlp.Options{CA: ca.File},
		options: func(user string) otlp.Options {
			token := filepath.Join(dir, user)
			if err := os.WriteFile(token, []byte("token-"+user+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return otlp.Options{CA: ca.File, Token: token}
		},
	}
}

// TestProxies has routers forge the names of others, and look at their records, through both
// proxies.
func TestProxies(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *proxy{"nginx": startNginx, "vmauth": startVMAuth} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			p.wait(t)
			p.forge(t)
			p.spy(t)
		})
	}
}

// client returns a client at a URL of the proxy.
func (p *proxy) client(t *testing.T, at, user string) *Client {
	t.Helper()
	o := p.options(user)
	o.URL = at
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// wait waits until the proxy takes the first record of gw2.
func (p *proxy) wait(t *testing.T) {
	t.Helper()
	c := p.client(t, p.routers, "gw2")
	tuntest.Wait(t, "the proxy", func() bool { return c.Put(t.Context(), of("gw2", 1)) == nil })
	p.expect(t, "gw2", 1)
}

// of makes a batch of one record of a router.
func of(router string, seq uint64) *fleet.Batch {
	line := fmt.Sprintf(`{"msg":"handshake","seq":%d}`, seq)
	return &fleet.Batch{
		LogID:   fleet.LogID{Router: router, Log: "0123456789abcdef"},
		Records: []fleet.Record{{Seq: seq, Time: time.Now(), Line: []byte(line)}},
	}
}

// expect waits until the store itself has just these records of a router.
func (p *proxy) expect(t *testing.T, router string, seqs ...uint64) {
	t.Helper()
	c, err := New(otlp.Options{URL: p.store})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want, got := fmt.Sprint(seqs), ""
	tuntest.Wait(t, "the records of "+router, func() bool {
		var found []uint64
		_ = c.Lines(
			t.Context(),
			of(router, 0).LogID,
			fleet.Range{},
			func(seq uint64, _ []byte) error {
				found = append(found, seq)
				return nil
			},
		)
		got = fmt.Sprint(found)
		return len(found) >= len(seqs)
	})
	if got != want {
		t.Errorf("the store has records %s of %s, want %s", got, router, want)
	}
}

// forge writes as gw1 in the name of gw2, in each way that the store has.
func (p *proxy) forge(t *testing.T) {
	t.Helper()
	if err := p.client(t, p.routers, "gw1").Put(t.Context(), of("gw2", 10)); err != nil {
		t.Fatal(err)
	}
	const insert = "/insert/opentelemetry/v1/logs"
	seq := uint64(10)
	want := []uint64{10}
	for _, forged := range []struct {
		query  string
		header http.Header
	}{
		{"extra_fields=router%3Dgw2", nil},
		{"extra_fields=router%3Dgw2&extra_fields=router%3Dgw2&_stream_fields=router,log&ignore_fields=router", nil},
		{"", http.Header{"Vl-Extra-Fields": {"router=gw2"}}},
		{"", http.Header{"Vl-Ignore-Fields": {"router"}, "Vl-Stream-Fields": {"log"}}},
		{"", http.Header{"Accountid": {"7"}, "Projectid": {"8"}}},
	} {
		seq++
		want = append(want, seq)
		var body []byte
		if err := new(otlp.Encoder).Encode(of("gw2", seq), func(b []byte) error { body = bytes.Clone(b); return nil }); err != nil {
			t.Fatal(err)
		}
		header := forged.header.Clone()
		if header == nil {
			header = make(http.Header)
		}
		header.Set("Content-Type", "application/x-protobuf")
		if header.Get("Vl-Stream-Fields") == "" {
			header.Set("Vl-Stream-Fields", "router,log")
		}
		if status, text := p.request(t, p.options("gw1"), p.routers+insert+"?"+forged.query, header, string(body)); status != http.StatusOK {
			t.Errorf("insert with %+v: status %d, %s", forged, status, text)
		}
	}
	p.expect(t, "gw1", want...)
	p.expect(t, "gw2", 1)
}

// spy reads as gw1, in each way that the store has.
func (p *proxy) spy(t *testing.T) {
	t.Helper()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	const query = "/select/logsql/query"
	p.count(t, "gw1", p.routers+query, 6)
	p.count(t, "reader", p.readers+query, 7)
	for _, values := range []url.Values{
		{"query": {"*"}},
		{"query": {`{router="gw2"}`}},
		{"query": {`router:gw2 | union (router:gw2)`}},
		{"query": {"*"}, "extra_filters": {`{"router":"gw2"}`}},
		{"query": {"*"}, "extra_stream_filters": {`{router="gw2"}`}},
		{"query": {`seq:10 | join by (log) (router:gw2)`}},
	} {
		for _, at := range []string{p.routers + query, p.routers + query + "?" + values.Encode()} {
			status, text := p.request(t, p.options("gw1"), at, form, values.Encode())
			if strings.Contains(text, "gw2") && !strings.Contains(text, "cannot") {
				t.Errorf("query %v: status %d, it shows gw2: %s", values, status, text)
			}
		}
	}
	for _, path := range []string{
		"/", "/metrics", "/select/vmui/", "/select/logsql/tail", "/select/logsql/hits", "/select/logsql/query/../tail", "/select/tenant_ids",
		"/insert/jsonline", "/insert/loki/api/v1/push", "/delete/run_task", "/internal/force_flush", "//insert/jsonline", "/flags", "/debug/pprof/",
	} {
		if status, text := p.request(t, p.options("gw1"), p.routers+path, form, "query=*"); status < 400 {
			t.Errorf("%s is open to routers: status %d, %.200s", path, status, text)
		}
		if strings.HasPrefix(path, "/select/") {
			continue
		}
		if status, text := p.request(t, p.options("reader"), p.readers+path, form, "query=*"); status < 400 {
			t.Errorf("%s is open to readers: status %d, %.200s", path, status, text)
		}
	}
	identities := map[string]otlp.Options{"none": p.withoutIdentity, "reader": p.options("reader")}
	if p.forgedIdentity != nil {
		identities["two names"] = p.forgedIdentity()
	}
	for name, o := range identities {
		if status, text := p.request(t, o, p.routers+"/insert/opentelemetry/v1/logs", form, ""); status < 400 {
			t.Errorf("%s may write: status %d, %s", name, status, text)
		}
	}
}

// count waits until a user finds as many records, which the store shows a little later.
func (p *proxy) count(t *testing.T, user, at string, want int) {
	t.Helper()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	tuntest.Wait(t, fmt.Sprintf("%s to find %d records", user, want), func() bool {
		_, text := p.request(t, p.options(user), at, form, "query=*")
		return strings.Count(text, "\n") == want
	})
}

// request sends a POST request, and returns the status and the body of the answer.
func (p *proxy) request(
	t *testing.T, o otlp.Options, to string, header http.Header, body string,
) (int, string) {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		t.Fatal(err)
	}
	config.RootCAs.AppendCertsFromPEM(pem)
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if o.Token != "" {
		token, err := os.ReadFile(o.Token)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
