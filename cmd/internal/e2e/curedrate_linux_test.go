package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestCuredRate compares connections that keep to a finding with those of a path without a hole,
// behind the same link of 20 Mbit/s. By arithmetic a packet of 1280 bytes carries 0.994 times the
// payload for each byte that one of 1500 does. Under loss the rate goes with the size of a segment
// (RFC 5348 §3.1), of which the test only reports.
func TestCuredRate(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft", "tc")
	if !soak() {
		t.Skip("takes minutes")
	}
	const size = 8 << 20 // three seconds: a tenth of a second goes by chance
	file := filepath.Join(t.TempDir(), "upload")
	must(t, os.WriteFile(file, make([]byte, size), 0o600))
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		_, _ = w.Write(make([]byte, size))
	})
	for _, tt := range mtuCases() {
		if tt.icmp != filtered || tt.where == "none" || tt.loss > 0 && tt.mtu != 1280 && tt.mtu != 1400 {
			continue
		}
		t.Run(fmt.Sprintf("%s %d loss %d", tt.where, tt.mtu, tt.loss), func(t *testing.T) {
			t.Parallel()
			path := func(mtu int) (*tuntest.Lab, *router) {
				narrow := map[bool]int{true: mtu, false: 0}
				c := newMTUChain(t, narrow[tt.where != "down"], narrow[tt.where != "up"])
				c.silence()
				if tt.loss > 0 {
					c.lose(tt.loss)
				}
				for link, ns := range map[string]*tuntest.Namespace{"right": c.client(), "left": c.server()} {
					ns.Run("tc", "qdisc", "add", "dev", link, "root", "tbf", "rate", "20mbit", "burst", "64kb", "latency", "50ms")
				}
				lab := &tuntest.Lab{Client: c.client(), Server: c.server()}
				serveHTTP(t, lab, page)
				return lab, run(t, lab.Client, "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
			}
			hole, r := path(tt.mtu)
			free, other := path(0)
			args := []string{"-sS", "--max-time", "120", "-o", os.DevNull, "-w", "%{time_total}"}
			if tt.where != "down" {
				args = append(args, "-T", file)
			}
			for i, url := range urls() {
				command(t, hole.Client, "curl", append(args, url+"/")...)
				r.wait(t, "a finding", func() bool { return len(r.findings(t)) > i })
				var times [2][]time.Duration
				for range 3 {
					for j, lab := range []*tuntest.Lab{free, hole} {
						got := command(t, lab.Client, "curl", append(args, url+"/")...)
						seconds, err := strconv.ParseFloat(got.stdout, 64)
						if got.status != 0 || err != nil {
							t.Fatalf("%s: exit status %d, %v: %s", url, got.status, err, got.stderr)
						}
						times[j] = append(times[j], time.Duration(seconds*float64(time.Second)))
					}
				}
				without, with := slices.Min(times[0]), slices.Min(times[1])
				rate := without.Seconds() / with.Seconds()
				reportf(t, "%s: %d MiB in %.3f s without a hole, %.3f s cured: %.3f of the rate", url, size>>20, without.Seconds(), with.Seconds(), rate)
				if tt.loss == 0 && rate < 0.9 {
					t.Errorf("%s: %v without a hole, %v cured: %.3f of the rate", url, times[0], times[1], rate)
				}
			}
			r.stop(t, unix.SIGTERM)
			other.stop(t, unix.SIGTERM)
			if all := other.findings(t); len(all) > 0 {
				t.Errorf("findings %+v without a hole", all)
			}
		})
	}
}
