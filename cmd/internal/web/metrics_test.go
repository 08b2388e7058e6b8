package web

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
)

// scrape returns the text of /metrics.
func scrape(t *testing.T, s *served) string {
	t.Helper()
	response, err := http.Get("http://" + s.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v: %s", response.Status, err, text)
	}
	return string(text)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1:0")
	s.Record(established(1))
	slow := established(2)
	slow.ACKDelay = time.Minute
	s.Record(slow)
	denied := established(3)
	denied.Outcome, denied.ACKDelay = handshake.Denied, -1
	s.Record(denied)
	text := scrape(t, s)

	var got []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "syntap_handshake") || strings.HasPrefix(line, "syntap_dial_seconds_") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	wantIn := []string{
		`syntap_handshakes_total{outcome="established"} 7`,
		`syntap_handshake_seconds_bucket{le="0.0025"} 0`,
		`syntap_handshake_seconds_bucket{le="0.005"} 1`,
		`syntap_handshake_seconds_bucket{le="+Inf"} 2`,
		`syntap_handshake_seconds_count 2`,
		`syntap_dial_seconds_bucket{le="0.0025"} 2`,
		`syntap_dial_seconds_count 2`,
	}
	for _, want := range wantIn {
		if !strings.Contains(strings.Join(got, "\n")+"\n", want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, strings.Join(got, "\n"))
		}
	}
	if want := `syntap_local_failures_total{errno="EMFILE"} 0`; !strings.Contains(text, want+"\n") {
		t.Errorf("metrics lack %s, without which increase() does not see the first", want)
	}
	names := make(map[string]bool)
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "# TYPE syntap_"); ok {
			names[strings.Fields(rest)[0]] = true
		}
	}
	want := make(map[string]bool)
	for _, name := range []string{
		"build_info", "start_time_seconds", "event_subscribers",
		"handshakes_total", "handshake_seconds", "dial_seconds", "tun_frames_total", "tun_bytes_total", "drops_total", "flows",
		"half_open", "memory_held_bytes", "memory_reserved_bytes", "memory_limit_bytes", "log_records_total", "log_lost_total",
		"unsolicited_datagrams_total", "local_failures_total",
	} {
		want[name] = true // and those that the test's router has not counted
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestMetricsAreClean has Prometheus's own tool judge names, types and help.
func TestMetricsAreClean(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, serve(t, "127.0.0.1:0")))
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
