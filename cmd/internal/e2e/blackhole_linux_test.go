package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// transferSize is more than the few segments that pass a black hole by being short.
const transferSize = 1 << 20

// newBlackHole makes a lab in which the router under test runs in the client, and the router in the
// middle is a bottleneck beyond its uplink that no packet tells of:
//
//	client ── syntap ── eth0 ─ 1500 ─┬─ 1400 ─ router ─ 1400 ─┬─ 1500 ─ server
//	                                 no ICMP gets out of the router
func newBlackHole(t *testing.T) *tuntest.Lab {
	t.Helper()
	lab := tuntest.NewLab(t)
	for _, name := range []string{"lan0", "wan0"} {
		if err := lab.Router.Netlink.LinkSetMTU(lab.Router.Link(name), 1400); err != nil {
			t.Fatal(err)
		}
	}
	lab.Router.Drop(100, "output", "icmp type destination-unreachable")
	lab.Router.Drop(100, "output", "icmpv6 type packet-too-big")
	for _, ns := range []*tuntest.Namespace{lab.Client, lab.Server} { // the others that could find out
		ns.Sysctl("net.ipv4.tcp_mtu_probing", "0")
	}
	return lab
}

// serveTransfers answers GET with transferSize bytes and PUT with the number of bytes that have
// come.
func serveTransfers(t *testing.T, lab *tuntest.Lab) {
	t.Helper()
	serveHTTP(t, lab, http.HandlerFunc(transfer))
}

func transfer(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
		return
	}
	if r.URL.Path == "/head" { // in a segment of its own
		w.Header().Set("Content-Length", fmt.Sprint(transferSize))
		_ = http.NewResponseController(w).Flush()
	}
	_, _ = w.Write(make([]byte, transferSize))
}

// curlTransfer returns how curl ended and how much of a download, or of an upload's answer, has
// come.
func curlTransfer(t *testing.T, ns *tuntest.Namespace, patience int, url, upload string) (status int, came string) {
	t.Helper()
	args := []string{"-sS", "--max-time", fmt.Sprint(patience)}
	if upload != "" {
		args = append(args, "-T", upload, url+"/")
	} else {
		args = append(args, "-o", os.DevNull, "-w", "%{size_download}", url)
	}
	got := command(t, ns, "curl", args...)
	return got.status, got.stdout
}

// TestBlackHole moves data both ways across a bottleneck whose ICMP is filtered: nothing comes
// through without a rule, everything with one.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "tcpdump")
	tests := []struct {
		name  string
		rules string
		route string   // attribute of the routes to the bottleneck
		mss   []string // of our SYN at the server, for IPv4 and IPv6
	}{
		{name: "number", rules: "mss: [{clamp: 1300}]", mss: []string{"1300", "1300"}},
		{name: "path MTU", rules: "mss: [{clamp: pmtu}]", route: "1400", mss: []string{"1360", "1340"}},
		{name: "none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := newBlackHole(t)
			serveTransfers(t, lab)
			if tt.route != "" {
				lab.Client.Run("ip", "route", "change", "default", "via", "192.0.2.1", "mtu", tt.route)
				lab.Client.Run("ip", "-6", "route", "change", "default", "via", "2001:db8:1::1", "mtu", tt.route)
			}
			upload := filepath.Join(t.TempDir(), "upload")
			if err := os.WriteFile(upload, make([]byte, transferSize), 0o600); err != nil {
				t.Fatal(err)
			}
			r := run(t, lab.Client, "syntap0", everything+"\n"+tt.rules+"\n")
			if tt.mss == nil {
				for _, url := range urls() {
					if status, came := curlTransfer(t, lab.Client, 4, url, ""); status != 28 || came != "0" {
						t.Errorf("download from %s without a rule: exit status %d and %s bytes, want 28, a timeout, and nothing", url, status, came)
					}
					if status, came := curlTransfer(t, lab.Client, 4, url, upload); status != 28 || came != "" {
						t.Errorf("upload to %s without a rule: exit status %d and %q, want 28, a timeout, and no answer", url, status, came)
					}
				}
				r.stop(t, unix.SIGTERM)
				return
			}

			dump := lab.Server.Start("tcpdump", "-n", "-l", "--immediate-mode", "-i", "eth0",
				"tcp[tcpflags] == tcp-syn or (ip6 proto 6 and ip6[53] == 2)")
			tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(dump.Stderr(), "listening on") })
			for i, url := range urls() {
				if status, came := curlTransfer(t, lab.Client, 60, url, ""); status != 0 || came != fmt.Sprint(transferSize) {
					t.Errorf("download from %s: exit status %d and %s bytes, want 0 and %d", url, status, came, transferSize)
				}
				if status, came := curlTransfer(t, lab.Client, 60, url, upload); status != 0 || came != fmt.Sprint(transferSize) {
					t.Errorf("upload to %s: exit status %d, %s bytes came, want 0 and %d", url, status, came, transferSize)
				}
				syn := func(line string) bool {
					return strings.Contains(line, addresses()[i]+".80: Flags [S]") && strings.Contains(line, "[mss "+tt.mss[i]+",")
				}
				tuntest.Wait(t, "a SYN with MSS "+tt.mss[i]+" at the server", func() bool {
					return slices.ContainsFunc(strings.Split(dump.Stdout(), "\n"), syn)
				})
			}
			for i, record := range r.waitRecords(t, 4) {
				want := tt.mss[i/2]
				if got := fmt.Sprint(record.Upstream.MSS); got != want {
					t.Errorf("record of %s has the upstream MSS %s, want %s", record.Dst, got, want)
				}
				var rewrites []string
				for _, w := range record.Rewrites {
					rewrites = append(rewrites, fmt.Sprintf("%s %s to %s by %d", w.Packet, w.What, w.To, w.Rule))
				}
				all := []string{"syn mss to " + want + " by 1", "synack mss to " + want + " by 1"}
				if tt.route != "" { // then the host's own SYN fits
					all = all[1:]
				}
				if !slices.Equal(rewrites, all) {
					t.Errorf("record of %s has the rewrites %q, want %q", record.Dst, rewrites, all)
				}
			}
			r.stop(t, unix.SIGTERM)
		})
	}
}
