package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/record"
)

// serveRemote serves a router of another process, whose answers are given.
func serveRemote(t *testing.T, answers map[byte][]byte, own ...isolate.Process) *served {
	t.Helper()
	r := &Remote{Own: own, Ask: func(_ context.Context, question byte) ([]byte, error) {
		answer, ok := answers[question]
		if !ok {
			return nil, errors.New("the router does not answer")
		}
		return answer, nil
	}}
	return serveOptions(t, "127.0.0.1:0", usualTimeouts, r.Options(false))
}

// TestRemote shows figures of another process, and of its processes those that the keeper cannot
// see by their own word.
func TestRemote(t *testing.T) {
	t.Parallel()
	figures := NewFigures("v1.2.3", "syntap0", record.Run{ID: "x"}, 4711)
	if _, err := EncodeMetrics(figures); err == nil {
		t.Error("a router that does not run has metrics")
	}
	figures.Count(func() Counters { return testCounters })
	figures.Handshake(established(1))
	metrics, err := EncodeMetrics(figures)
	if err != nil {
		t.Fatal(err)
	}
	process, err := EncodeMetrics(NewProcess(func() (int, error) { return os.Getpid(), nil }))
	if err != nil {
		t.Fatal(err)
	}
	state, err := figures.Status()
	if err != nil {
		t.Fatal(err)
	}
	state.Processes = []isolate.Process{{PID: 2, Role: isolate.Router}, {PID: 9, Role: isolate.Keeper}}
	status, _ := json.Marshal(state)
	known, _ := json.Marshal([]isolate.Process{{PID: 1, Role: isolate.Keeper}})
	s := serveRemote(t, map[byte][]byte{AskStatus: status, AskMetrics: metrics, AskProcess: process, AskAlive: nil, AskReady: nil, AskProcesses: known},
		isolate.Process{PID: 3, Role: isolate.Web})
	text := scrape(t, s)
	for _, want := range []string{
		`syntap_handshakes_total{outcome="established"} 7`, "syntap_handshake_seconds_count 1", "syntap_event_subscribers 0",
		`syntap_build_info{version="v1.2.3"} 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if !strings.Contains(text, "\nprocess_resident_memory_bytes ") || !strings.Contains(text, "\ngo_goroutines ") {
		t.Error("metrics lack those of the router's process")
	}
	_, body := get(t, s, "/api/status", "")
	var got Status
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range got.Processes {
		pids = append(pids, p.PID)
	}
	if !slices.Equal(pids, []int{1, 2, 3}) || got.PID != 4711 || got.Handshakes["established"] != 7 {
		t.Errorf("status %+v, want that of processes 1, 2, 3", got)
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, body := get(t, s, path, ""); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
}

// TestHostileRemote has the other process answer nothing, or nonsense: an answer says so, and the
// next one is served.
func TestHostileRemote(t *testing.T) {
	t.Parallel()
	s := serveRemote(t, nil)
	for _, path := range []string{"/healthz", "/readyz", "/api/status"} {
		if status, body := get(t, s, path, ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "the router does not answer") {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	family := func(f *dto.MetricFamily) []byte {
		b, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{byte(len(b))}, b...)
	}
	gauge, histogram := dto.MetricType_GAUGE, dto.MetricType_HISTOGRAM
	metric := []*dto.Metric{{Gauge: &dto.Gauge{Value: new(1.0)}}}
	for name, metrics := range map[string][]byte{
		"nothing": nil, "nonsense": []byte("\x05nonsense"), "an endless length": []byte("\xff\xff\xff\xff\x7f"),
		"no name":           family(&dto.MetricFamily{Type: &gauge, Metric: metric}),
		"another type":      family(&dto.MetricFamily{Name: new("x"), Type: &histogram, Metric: metric}),
		"the server's name": family(&dto.MetricFamily{Name: new("syntap_event_subscribers"), Type: &gauge, Metric: metric}),
		"a label twice": family(&dto.MetricFamily{Name: new("x"), Type: &gauge, Metric: []*dto.Metric{{
			Gauge: metric[0].Gauge, Label: []*dto.LabelPair{{Name: new("a"), Value: new("\n")}, {Name: new("a")}},
		}}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRemote(t, map[byte][]byte{AskMetrics: metrics, AskProcess: nil, AskStatus: []byte("[]"), AskProcesses: nil, AskAlive: nil})
			if status, body := get(t, s, "/metrics", ""); status == http.StatusOK && body != "" && name != "nothing" {
				t.Errorf("metrics: %s", body)
			}
			if status, body := get(t, s, "/api/status", ""); status != http.StatusServiceUnavailable {
				t.Errorf("status: %d %s", status, body)
			}
			if status, _ := get(t, s, "/healthz", ""); status != http.StatusOK {
				t.Errorf("healthz: %d", status)
			}
		})
	}
}
