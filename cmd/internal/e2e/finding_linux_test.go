package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// found is a record of a finding.
type found struct {
	Msg, Kind, Leg, Dst, Direction, Confidence string
	Passes, Fails, Clamp, Flows                int
	Applied                                    bool
	Stalls                                     []struct{ Src string }
}

// findings returns the records of findings.
func (r *router) findings(t *testing.T) (all []found) {
	t.Helper()
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var f found
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if f.Msg == "finding" {
			all = append(all, f)
		}
	}
	return all
}

// newHole makes a chain whose middle router drops packets above 1400 bytes both ways and is silent
// about it.
func newHole(t *testing.T) *tuntest.Lab {
	t.Helper()
	c := newMTUChain(t, 1400, 1400)
	c.silence()
	lab := &tuntest.Lab{Client: c.client(), Router: c.middle(), Server: c.server()}
	serveTransfers(t, lab)
	return lab
}

// check compares a finding with the path of newHole.
func (f *found) check(t *testing.T, dst string, headers int, applied bool) {
	t.Helper()
	want := found{
		Msg: "finding", Kind: "black_hole", Dst: dst, Direction: f.Direction, Confidence: "high",
		Passes: 1400, Fails: 1401, Clamp: 1400 - headers, Flows: f.Flows, Applied: applied, Stalls: f.Stalls,
	}
	if got, want := fmt.Sprintf("%+v", *f), fmt.Sprintf("%+v", want); got != want || f.Flows < 1 || len(f.Stalls) < 1 {
		t.Errorf("finding %s, want %s, with a stall", got, want)
	}
}

// TestFinding hangs uploads and downloads in a black hole: the router finds it by itself, exactly
// and once for each server, and says how to cure it.
func TestFinding(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	for i, upload := range []bool{true, false} {
		t.Run(fmt.Sprintf("upload %t", upload), func(t *testing.T) {
			t.Parallel()
			lab := newHole(t)
			r := run(t, lab.Client, "syntap0", everything+"http: {listen: 127.0.0.1:9153}\n")
			url, dst := urls()[i], addresses()[i]
			curl := []string{"-sS", "-o", os.DevNull, url + "/"}
			if upload {
				file := filepath.Join(t.TempDir(), "upload")
				if err := os.WriteFile(file, make([]byte, transferSize), 0o600); err != nil {
					t.Fatal(err)
				}
				curl = append(curl, "-T", file)
			}
			hangs := lab.Client.Start("curl", curl...)
			r.wait(t, "a finding", func() bool { return len(r.findings(t)) > 0 })
			if err := hangs.Signal(unix.SIGKILL); err != nil {
				t.Error(err)
			}
			<-hangs.Done()
			all := r.findings(t)
			all[0].check(t, strings.Trim(dst, "[]"), 40+20*i, false)
			hint := fmt.Sprintf(`clamp: %d}]`, 1360-20*i)
			r.wait(t, "the cure in the log", func() bool { return strings.Contains(r.Stderr(), hint) })
			metrics := command(t, lab.Client, "curl", "-sS", "http://127.0.0.1:9153/metrics").stdout
			if want := fmt.Sprintf(`syntap_findings_total{direction=%q,kind="black_hole"} 1`, all[0].Direction); !strings.Contains(metrics, want) {
				t.Errorf("no metric %s", want)
			}
			status := command(t, lab.Client, binary, "status", "-c", filepath.Join(r.dir, "syntap.yaml")).stdout
			if want := "black hole " + all[0].Direction + ", 1400 bytes pass, 1401 vanish, cure: clamp"; !strings.Contains(status, want) {
				t.Errorf("status has no %q:\n%s", want, status)
			}
			r.stop(t, unix.SIGTERM)
			if all := r.findings(t); len(all) != 1 {
				t.Errorf("findings %+v, want one", all)
			}
		})
	}
}

// TestFindingApplied has the router cure its findings: the connection that hangs is freed or
// reset, the next runs.
func TestFindingApplied(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	for i, upload := range []bool{true, false} {
		t.Run(fmt.Sprintf("upload %t", upload), func(t *testing.T) {
			t.Parallel()
			lab := newHole(t)
			config := strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1)
			r := run(t, lab.Client, "syntap0", config)
			url := urls()[i]
			file := ""
			if !upload {
				url += "/head"
			}
			if upload {
				file = filepath.Join(t.TempDir(), "upload")
				if err := os.WriteFile(file, make([]byte, transferSize), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			patience := int(tuntest.Patience.Seconds())
			status, came := curlTransfer(t, lab.Client, patience, url, file)
			if upload && (status != 0 || came != fmt.Sprint(transferSize)) {
				t.Errorf("first upload: exit status %d and %q, want 0: it is freed", status, came)
			}
			if !upload && status != 56 {
				t.Errorf("first download: exit status %d, want 56: it is reset", status)
			}
			for range 2 {
				if status, came := curlTransfer(t, lab.Client, patience, url, file); status != 0 || came != fmt.Sprint(transferSize) {
					t.Errorf("next transfer: exit status %d, %q came", status, came)
				}
			}
			r.wait(t, "a finding", func() bool { return len(r.findings(t)) > 0 }) // on a slow machine it is cured before
			r.stop(t, unix.SIGTERM)
			all := r.findings(t)
			if len(all) != 1 {
				t.Fatalf("findings %+v, want one", all)
			}
			all[0].check(t, strings.Trim(addresses()[i], "[]"), 40+20*i, true)
			last := slices.DeleteFunc(r.records(t), func(r record) bool { return r.Message != "handshake" })
			if got := last[len(last)-1].Upstream.MSS; got != 1400-40-20*i {
				t.Errorf("the last connection has the MSS %d", got)
			}
		})
	}
}

// TestFindingCases finds black holes of all sizes and ways, and cures them: of each the first
// connection is freed or reset within ten seconds after it has opened, and the next runs.
func TestFindingCases(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	if !soak() {
		t.Skip("takes minutes")
	}
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, make([]byte, transferSize), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range mtuCases() {
		if tt.icmp == kept || tt.where == "none" {
			continue
		}
		t.Run(fmt.Sprintf("%s %d ICMP %s loss %d", tt.where, tt.mtu, tt.icmp, tt.loss), func(t *testing.T) {
			t.Parallel()
			up, down := tt.where == "up" || tt.where == "both", tt.where == "down" || tt.where == "both"
			narrow := map[bool]int{true: tt.mtu, false: 0}
			c := newMTUChain(t, narrow[up], narrow[down])
			c.silence()
			if tt.icmp == forged {
				c.forge(t)
			}
			if tt.loss > 0 {
				c.lose(tt.loss)
			}
			lab := &tuntest.Lab{Client: c.client(), Server: c.server()}
			var mu sync.Mutex
			came := make(map[bool]time.Time) // when the first byte of an upload has, by IPv6
			serveHTTP(t, lab, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				first := make([]byte, 1)
				if _, err := io.ReadFull(r.Body, first); err == nil {
					mu.Lock()
					if is6 := strings.HasPrefix(r.Host, "["); came[is6].IsZero() {
						came[is6] = time.Now()
					}
					mu.Unlock()
					r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(first), r.Body))
				}
				transfer(w, r)
			}))
			r := run(t, lab.Client, "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
			file := ""
			if up {
				file = upload
			}
			within := 10 * time.Second
			if tt.loss == 10 { // its own retransmissions, or those of the probes, are lost
				within = 30 * time.Second
			}
			var all sync.WaitGroup
			var slow atomic.Bool
			for i, url := range urls() {
				all.Go(func() {
					began := time.Now()
					status, opened := curlOpened(t, lab.Client, url, file)
					ended := time.Since(began)
					cured := ended - opened
					mu.Lock()
					if at := came[i == 1]; !at.IsZero() { // it was freed
						cured = at.Sub(began) - opened
					}
					mu.Unlock()
					if cured > 10*time.Second {
						slow.Store(true)
					}
					began = time.Now()
					next, got := curlTransfer(t, lab.Client, 60, url, file)
					reportf(t, "%s: %v: first opened after %.1f s, cured after %.1f s, ended with %d after %.1f s, next with %d after %.3f s",
						tt, url, opened.Seconds(), cured.Seconds(), status, ended.Seconds(), next, time.Since(began).Seconds())
					if cured > within || next != 0 || got != fmt.Sprint(transferSize) || file == "" && status != 56 {
						t.Errorf("%s: the first connection was cured after %v and ended with %d after %v, the next with %d and %s bytes",
							url, cured, status, ended, next, got)
					}
				})
			}
			all.Wait()
			r.wait(t, "findings", func() bool { return len(r.findings(t)) > 1 }) // under loss they are cured before
			r.stop(t, unix.SIGTERM)
			if slow.Load() {
				t.Logf("handshakes.json:\n%s", r.read(t, "handshakes.json"))
			}
			found := r.findings(t)
			if len(found) != 2 {
				t.Fatalf("findings %+v, want one for each server", found)
			}
			for _, f := range found {
				if f.Passes != tt.mtu || f.Fails != tt.mtu+1 || f.Direction != tt.where {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}

// curlOpened is curlTransfer, and returns how long the connection took to open.
func curlOpened(t *testing.T, ns *tuntest.Namespace, url, upload string) (status int, opened time.Duration) {
	t.Helper()
	args := []string{"-sS", "--max-time", "60", "-o", os.DevNull, "-w", "%{time_connect}"}
	if upload != "" {
		args, url = append(args, "-T", upload), url+"/"
	}
	got := command(t, ns, "curl", append(args, url)...)
	seconds, err := strconv.ParseFloat(got.stdout, 64)
	if err != nil {
		t.Errorf("curl %s: %v", url, err)
	}
	return got.status, time.Duration(seconds * float64(time.Second))
}

// TestNoFinding has connections meet every tenth packet lost, servers that are dead after the
// handshake, slow, slow to read, and behind a path with a rate limit, on ports whose protocol the
// router knows and on others: none of that is a black hole.
func TestNoFinding(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	if !soak() {
		t.Skip("takes minutes")
	}
	c := newMTUChain(t, 0, 0)
	lab := &tuntest.Lab{Client: c.client(), Router: c.middle(), Server: c.server()}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		slow := strings.HasPrefix(r.URL.Path, "/slow")
		for b := make([]byte, 4<<10); r.Method == http.MethodPut; {
			if n, _ := r.Body.Read(b); n == 0 {
				break
			}
			if slow {
				time.Sleep(200 * time.Millisecond)
			}
		}
		if slow {
			time.Sleep(rand.N(8 * time.Second))
		}
		_, _ = w.Write(make([]byte, 100<<10))
	})
	serveHTTP(t, lab, handler)
	for _, host := range addresses() {
		for _, port := range []string{"5432", "5433"} { // whose protocol the router does not know
			server := &http.Server{Handler: handler, ReadHeaderTimeout: tuntest.Patience}
			go func() { _ = server.Serve(lab.Server.Listen("tcp", net.JoinHostPort(host, port))) }()
			t.Cleanup(func() { _ = server.Close() })
		}
		for _, port := range []string{"8080", "6379"} {
			lab.Server.Listen("tcp", net.JoinHostPort(host, port))
		}
	}
	c.lose(10)
	c.middle().Drop(100, "forward", "tcp dport { 8080, 6379 } tcp flags & syn == 0") // dead after the handshake
	c.middle().Run("nft", "add table inet t; add chain inet t c { type filter hook forward priority 0; }; "+
		"add rule inet t c tcp dport 5433 limit rate over 200 kbytes/second drop; add rule inet t c tcp sport 5433 limit rate over 200 kbytes/second drop")
	config := strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1)
	r := run(t, lab.Client, "syntap0", config)
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, make([]byte, 50<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds := [][]string{
		{"/"},
		{"/slow"},
		{"/", "-T", file},
		{"/slow", "-T", file},
		{":8080/", "-T", file},
		{":8080/"},
		{":5432/"},
		{":5432/slow"},
		{":5432/", "-T", file},
		{":5432/slow", "-T", file},
		{":6379/", "-T", file},
		{":6379/"},
		{":5433/"},
		{":5433/", "-T", file},
	}
	const connections, atATime = 1000, 50
	var all sync.WaitGroup
	turns := make(chan struct{}, atATime)
	for i := range connections {
		kind := kinds[i%len(kinds)]
		args := append([]string{"-s", "-o", os.DevNull, "--max-time", "15", urls()[i/len(kinds)%2] + kind[0]}, kind[1:]...)
		turns <- struct{}{}
		all.Go(func() { command(t, lab.Client, "curl", args...); <-turns })
	}
	all.Wait()
	r.stop(t, unix.SIGTERM)
	if all := r.findings(t); len(all) > 0 {
		t.Errorf("findings %+v, want none", all)
	}
}
