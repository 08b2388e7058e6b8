package web

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"

	"syntap/cmd/internal/record"
	"syntap/tap/handshake"
)

// Figures are those of a router, in its own process.
type Figures struct {
	Version   string // of the program
	Interface string // of the TUN
	Run       record.Run
	PID       int // of the process that takes signals

	started    time.Time
	counters   atomic.Pointer[func() Counters]
	handshakes prometheus.Histogram
	dials      prometheus.Histogram
	registry   *prometheus.Registry
}

// NewFigures returns the figures of a router that starts.
func NewFigures(version, tun string, run record.Run, pid int) *Figures {
	f := &Figures{
		Version: version, Interface: tun, Run: run, PID: pid, started: time.Now(),
		handshakes: newHistogram("handshake_seconds", "SYN to third segment of established connections."),
		dials:      newHistogram("dial_seconds", "Time to connect to the far side, of dials that did."),
		registry:   prometheus.NewRegistry(),
	}
	f.registry.MustRegister(newCollector(f), collectors.NewGoCollector())
	return f
}

// Metrics are of several sources.
type Metrics = prometheus.Gatherers

// NewProcess returns the metrics of the process with a number, as far as the kernel shows them to
// others.
func NewProcess(pid func() (int, error)) Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{PidFn: pid}))
	return Metrics{registry}
}

// Handshake takes a record for the histograms. It never blocks. nil Figures take none.
func (f *Figures) Handshake(r *record.Attributed) {
	if f == nil {
		return
	}
	if r.Outcome == handshake.Established && r.SYNACKDelay >= 0 && r.ACKDelay >= 0 {
		f.handshakes.Observe((r.SYNACKDelay + r.ACKDelay).Seconds())
	}
	if u := r.Upstream; u != nil && u.Error == "" && r.Outcome != handshake.Denied {
		f.dials.Observe(u.DialTime.Seconds())
	}
}

// Count has the figures come from counters; nil ends them.
func (f *Figures) Count(counters func() Counters) {
	if counters == nil {
		f.counters.Store(nil)
		return
	}
	f.counters.Store(&counters)
}

// errNoRouter is the error of figures that are asked for before or after the life of a router.
var errNoRouter = errors.New("no router carries traffic")

// Status returns the state of the router. It tells of no process.
func (f *Figures) Status() (*Status, error) {
	counters := f.counters.Load()
	if counters == nil {
		return nil, errNoRouter
	}
	return &Status{
		Version: f.Version, RunID: f.Run.ID, PID: f.PID, Interface: f.Interface,
		Started: f.started.UTC().Truncate(time.Millisecond), Uptime: time.Since(f.started).Seconds(),
		Counters: (*counters)(),
	}, nil
}

// Gather returns the router's metrics.
func (f *Figures) Gather() ([]*dto.MetricFamily, error) {
	if f.counters.Load() == nil {
		return nil, errNoRouter
	}
	return f.registry.Gather()
}

// EncodeMetrics returns metrics for another process.
func EncodeMetrics(from prometheus.Gatherer) ([]byte, error) {
	families, err := from.Gather()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, family := range families {
		if _, err := protodelim.MarshalTo(&b, family); err != nil {
			return nil, fmt.Errorf("encode metrics: %w", err)
		}
	}
	return b.Bytes(), nil
}

// DecodeMetrics returns the metrics that EncodeMetrics of another process has encoded.
func DecodeMetrics(b []byte) (families []*dto.MetricFamily, err error) {
	decoder, rest := protodelim.UnmarshalOptions{MaxSize: int64(len(b))}, bytes.NewReader(b)
	for rest.Len() > 0 {
		family := new(dto.MetricFamily)
		if err := decoder.UnmarshalFrom(rest, family); err != nil {
			return nil, fmt.Errorf("decode metrics: %w", err)
		}
		families = append(families, family)
	}
	return families, nil
}
