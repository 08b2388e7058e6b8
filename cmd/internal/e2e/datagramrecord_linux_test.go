package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// datagramRecord holds those keys of records of datagrams and flows that tests look at.
type datagramRecord struct {
	Seq         uint64 `json:"seq"`
	Message     string `json:"msg"`
	RunID       string `json:"run_id"`
	Host        string `json:"host"`
	Proto       string `json:"proto"`
	DatagramSeq uint64 `json:"datagram_seq"`
	Outcome     string `json:"outcome"`
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason"`
	Src         string `json:"src"`
	Sport       int    `json:"sport"`
	Dst         string `json:"dst"`
	Dport       int    `json:"dport"`
	Length      int    `json:"length"`
	Out         int    `json:"outbound_packets"`
	In          int    `json:"inbound_packets"`
	OutBytes    int    `json:"outbound_bytes"`
	InBytes     int    `json:"inbound_bytes"`
	DNS         *struct {
		Queries []struct{ Name, Type string }
		RCode   string
		Answers []struct{ Name, Type, Data string }
	} `json:"dns"`
	Upstream struct{ Remote string } `json:"upstream"`
}

// datagramRecords returns the records of datagrams and of ends in a JSON log.
func datagramRecords(t *testing.T, log string) (begun, over []datagramRecord) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r datagramRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch r.Message {
		case "datagram":
			begun = append(begun, r)
		case "flow":
			over = append(over, r)
		}
	}
	return begun, over
}

// summarize says of each datagram whether it was allowed, and how its flow ended.
func summarize(t *testing.T, begun, over []datagramRecord) (all []string) {
	t.Helper()
	ends := make(map[uint64]datagramRecord)
	for _, f := range over {
		if _, twice := ends[f.DatagramSeq]; twice || f.DatagramSeq == 0 {
			t.Errorf("a flow without a datagram of its own: %+v", f)
		}
		ends[f.DatagramSeq] = f
	}
	for _, d := range begun {
		text := fmt.Sprintf("%s %s %d %s %d bytes", d.Proto, d.Dst, d.Dport, d.Verdict, d.Length)
		if d.DNS != nil {
			text = fmt.Sprintf("%s %s %d %s %v", d.Proto, d.Dst, d.Dport, d.Verdict, d.DNS.Queries)
		}
		f, ended := ends[d.Seq]
		delete(ends, d.Seq)
		if ended {
			text += fmt.Sprintf(": %s, %d out, %d in", f.Outcome, f.Out, f.In)
		}
		if ended && f.DNS != nil {
			text += fmt.Sprintf(", %s %v", f.DNS.RCode, f.DNS.Answers)
		}
		if ended && (f.Src != d.Src || f.Sport != d.Sport || f.Dst != d.Dst || f.Dport != d.Dport || f.Proto != d.Proto || f.RunID != d.RunID) {
			t.Errorf("%+v is the end of another flow than %+v", f, d)
		}
		if d.RunID == "" || d.Host == "" || (d.Verdict == "deny") != (d.Reason != "") || (d.Verdict == "deny") != (d.Upstream.Remote == "") {
			t.Errorf("record %+v lacks its run, its host, its reason or its far end", d)
		}
		all = append(all, text)
	}
	if len(ends) > 0 {
		t.Errorf("ends of datagrams that are not in the log: %v", ends)
	}
	return all
}

// TestDatagramRecords has programs ask for a name, send datagrams and ping, to far ends that
// answer, refuse, are silent or are forbidden.
func TestDatagramRecords(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq", "nc", "ping")
	const script = `for host in ` + tuntest.ServerAddr4 + ` ` + tuntest.ServerAddr6 + `; do
dig +noedns +short +tries=1 +timeout=30 @$host www.example.com A
ping -c 3 -i 0.2 $host
for port in 7 8 9; do echo hello | nc -u -w 1 $host $port; done
done
echo hello | nc -u -w 1 203.0.113.66 7
ping -c 1 -w 5 203.0.113.66
true`
	var want []string
	for _, host := range addresses() {
		want = append(want,
			"udp "+host+" 53 allow [{www.example.com A}]: answered, 1 out, 1 in, NOERROR [{www.example.com A "+resolvedTo+"}]",
			"icmp "+host+" 0 allow 56 bytes: answered, 3 out, 3 in",
			"udp "+host+" 7 allow 6 bytes: answered, 1 out, 2 in",
			"udp "+host+" 8 allow 6 bytes: no_reply, 1 out, 0 in",
			"udp "+host+" 9 allow 6 bytes: refused, 1 out, 0 in")
	}
	want = append(want, "udp 203.0.113.66 7 deny 6 bytes", "icmp 203.0.113.66 0 deny 56 bytes")
	for _, by := range []string{"run", "exec"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveNames(t, lab.Server, "--interface=eth0")
			for _, host := range addresses() {
				twice := listenDatagrams(t, lab.Server, net.JoinHostPort(host, "7"))
				go func() {
					b := make([]byte, 100)
					for {
						n, from, err := twice.ReadFrom(b)
						if err != nil {
							return
						}
						_, _ = twice.WriteTo(b[:n], from)
						_, _ = twice.WriteTo(b[:n], from)
					}
				}()
				listenDatagrams(t, lab.Server, net.JoinHostPort(host, "8"))
			}
			const config = "tun: {name: syntap0}\nroute: {include: [0.0.0.0/0, '::/0']}\negress: {deny: [203.0.113.66]}\n" +
				"tap: {log: [{format: json, path: DIR/handshakes.json, chain: true}]}\n"
			r := &router{dir: t.TempDir()}
			if by == "run" {
				r = run(t, lab.Router, "syntap0", config)
				command(t, lab.Router, "sh", "-c", script)
				r.stop(t, unix.SIGTERM)
			} else {
				file := r.writeConfig(t, config)
				if got := command(t, lab.Router, binary, "exec", "-c", file, "--", "sh", "-c", script); got.status != 0 {
					t.Errorf("exec: %+v", got)
				}
			}
			begun, over := datagramRecords(t, r.read(t, "handshakes.json"))
			if diff := cmp.Diff(want, summarize(t, begun, over)); diff != "" {
				t.Errorf("datagrams (-want +got):\n%s", diff)
			}
			if got := command(t, lab.Router, binary, "verify", filepath.Join(r.dir, "handshakes.json")); got.status != 0 ||
				!strings.Contains(got.stdout, "1 run is complete: ") {
				t.Errorf("verify: %+v", got)
			}
		})
	}
}

// TestDatagramsOfFullLog has a log that nothing reads. With on_full: suspend new datagrams do not
// leave, are refused after a while and counted, and those whose flow is on record go on. With count
// all of them leave.
func TestDatagramsOfFullLog(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"suspend", "count"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			far := listenDatagrams(t, lab.Server, net.JoinHostPort(tuntest.ServerAddr4, "7"))
			r, read := runUnread(t, lab, "on_full: "+policy)
			first := listenDatagrams(t, lab.Router, "0.0.0.0:0")
			send(t, first, far.LocalAddr(), "first")
			receive(t, far, "first")
			const flows = 200 // more records than the pipe takes
			arrived, refused := 0, false
			// Of a log that counts each arrives. Else some wait, for longer than this.
			patience := map[string]time.Duration{"count": tuntest.Patience, "suspend": 300 * time.Millisecond}[policy]
			for range flows {
				conn, err := lab.Router.Dial(t.Context(), "udp4", far.LocalAddr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_, _ = conn.Write([]byte("next"))
				if err := far.SetReadDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
				if _, _, err := far.ReadFrom(make([]byte, 100)); err == nil {
					arrived++
					continue
				}
				_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if _, err = conn.Read(make([]byte, 1)); errors.Is(err, unix.EHOSTUNREACH) {
					refused = true
					break
				}
			}
			if refused != (policy == "suspend") || arrived == flows != (policy == "count") {
				t.Errorf("%d of %d new datagrams have come through, refused: %t", arrived, flows, refused)
			}
			send(t, first, far.LocalAddr(), "still")
			_ = far.SetReadDeadline(time.Now().Add(tuntest.Patience))
			for b, n := make([]byte, 100), 0; string(b[:n]) != "still"; { // behind some that were late
				var err error
				if n, _, err = far.ReadFrom(b); err != nil {
					t.Fatalf("a flow on record does not go on: %v", err)
				}
			}
			read()
			carried := r.carried(t)
			if (carried["drop_waiting"] > 0 && carried["drop_refused"] > 0) != (policy == "suspend") {
				t.Errorf("carried %v", carried)
			}
			tuntest.Wait(t, "the log's end", func() bool { return strings.Contains(r.read(t, "handshakes.json"), `"msg":"end"`) })
			gaps := r.records(t) // there is nothing else
			if (len(gaps) > 0) != (policy == "suspend") {
				t.Errorf("%d gaps in the log", len(gaps))
			}
			for _, gap := range gaps {
				if gap.Reason != "suspended" || gap.Refused != carried["drop_waiting"]+carried["drop_refused"] {
					t.Errorf("gap %+v, but carried %v", gap, carried)
				}
			}
		})
	}
}

// runUnread starts a router whose JSON log goes into a small pipe that nothing reads before read is
// called.
func runUnread(t *testing.T, lab *tuntest.Lab, options string) (r *router, read func()) {
	t.Helper()
	r = &router{dir: t.TempDir()}
	fifo := filepath.Join(r.dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	if _, err := unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	config := r.writeConfig(t, "tun: {name: syntap0}\ntap: {log: [{format: json, path: '-', "+options+"}]}\n")
	r.Process = lab.Router.Start("sh", "-c", fmt.Sprintf("exec %s run -c %s >%s", binary, config, fifo))
	r.wait(t, "a route", func() bool { return routesTo(lab, "syntap0") })
	return r, func() {
		log, err := os.Create(filepath.Join(r.dir, "handshakes.json"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		go func() { _, _ = io.Copy(log, pipe) }()
	}
}
