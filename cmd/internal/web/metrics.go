package web

import (
	"maps"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics returns the handler of /metrics: those of the router, and the server's own.
func (s *Server) metrics() http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "syntap_event_subscribers", Help: "Subscribers of /api/events at present.",
	}, func() float64 { return float64(s.subscribers.size()) }))
	return promhttp.HandlerFor(prometheus.Gatherers{s.o.Metrics, own}, promhttp.HandlerOpts{})
}

// collector makes the router's metrics from one snapshot of its counters.
type collector struct {
	f *Figures

	build, start                           *prometheus.Desc
	handshakes                             *prometheus.Desc
	frames, bytes, drops, failures         *prometheus.Desc
	flows, halfOpen                        *prometheus.Desc
	memoryHeld, memoryKept, memoryLimit    *prometheus.Desc
	mssRewrites, dfRewrites, records, lost *prometheus.Desc
	owners                                 *prometheus.Desc
	names, named, evictedNames             *prometheus.Desc
	unsolicited, findings                  *prometheus.Desc
	fleet                                  fleetMetrics
}

func newCollector(f *Figures) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("syntap_"+name, help, labels, nil)
	}
	return &collector{
		f:           f,
		build:       desc("build_info", "Version of the program.", "version"),
		start:       desc("start_time_seconds", "When the router started, as Unix time."),
		handshakes:  desc("handshakes_total", "TCP handshakes recorded.", "outcome"),
		frames:      desc("tun_frames_total", "Frames that crossed the TUN; one may hold many segments.", "direction"),
		bytes:       desc("tun_bytes_total", "Bytes of the frames that crossed the TUN.", "direction"),
		drops:       desc("drops_total", "Frames not carried on.", "reason"),
		failures:    desc("local_failures_total", "Failures of host sockets on this host.", "errno"),
		flows:       desc("flows", "Flows at present.", "proto"),
		halfOpen:    desc("half_open", "Handshakes that wait for their third segment at present."),
		memoryHeld:  desc("memory_held_bytes", "Memory of connections at present, in the program and in the kernel's sockets."),
		memoryKept:  desc("memory_reserved_bytes", "Memory set aside for connections at present."),
		memoryLimit: desc("memory_limit_bytes", "The most memory set aside for connections, limits.memory."),
		mssRewrites: desc("mss_rewrites_total", "Segments whose MSS option a rule has changed.", "packet"),
		dfRewrites:  desc("df_rewrites_total", "Packets whose DF bit a rule has changed.", "action"),
		records:     desc("log_records_total", "Records of handshakes, datagrams and ends handed to the sinks of the log."),
		lost:        desc("log_lost_total", "Records missing in the handshake log.", "reason"),
		owners: desc("owners_total",
			"Connections and flows of local clients, by whether their process was found, or why not.", "result"),
		names: desc("named_addresses", "Addresses whose names clients have asked for, of all clients, at present."),
		named: desc("named_flows", "Connections and flows that have a name at present."),

		unsolicited: desc("unsolicited_datagrams_total", "Datagrams to clients from where they had not sent."),

		findings: desc("findings_total", "Faults of the network that the router has found by itself.", "kind", "direction"),

		evictedNames: desc("named_addresses_evicted_total", "Addresses whose names gave way to others."),

		fleet: newFleetMetrics(desc),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		c.build, c.start, c.handshakes, c.frames, c.bytes, c.drops, c.failures,
		c.flows, c.halfOpen, c.memoryHeld, c.memoryKept, c.memoryLimit, c.mssRewrites,
		c.dfRewrites, c.records, c.lost, c.owners,
		c.names, c.named, c.evictedNames, c.unsolicited, c.findings,
	} {
		ch <- desc
	}
	c.fleet.describe(ch)
	c.f.handshakes.Describe(ch)
	c.f.dials.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(desc *prometheus.Desc, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counters := func(desc *prometheus.Desc, values map[string]uint64) {
		for label, value := range values {
			counter(desc, value, label)
		}
	}
	now, err := c.f.Status()
	if err != nil { // it has ended
		return
	}
	gauge(c.build, 1, now.Version)
	gauge(c.start, float64(now.Started.UnixMilli())/1000)
	counters(c.handshakes, now.Handshakes)
	c.f.handshakes.Collect(ch)
	c.f.dials.Collect(ch)
	for direction, traffic := range map[string]Traffic{"outbound": now.Outbound, "inbound": now.Inbound} {
		counter(c.frames, traffic.Frames, direction)
		counter(c.bytes, traffic.Bytes, direction)
	}
	counters(c.drops, now.Drops)
	counters(c.failures, withZeros(now.LocalFailures))
	for proto, n := range now.Flows {
		gauge(c.flows, float64(n), proto)
	}
	gauge(c.halfOpen, float64(now.HalfOpen))
	gauge(c.memoryHeld, float64(now.Memory.Held))
	gauge(c.memoryKept, float64(now.Memory.Reserved))
	gauge(c.memoryLimit, float64(now.Memory.Limit))
	counters(c.mssRewrites, now.MSSRewrites)
	counters(c.dfRewrites, now.DFRewrites)
	counter(c.records, now.LogRecords)
	counters(c.lost, now.LogLost)
	counter(c.unsolicited, now.Unsolicited)
	for _, f := range now.Found {
		counter(c.findings, f.Count, f.Kind, f.Direction)
	}
	if now.Owners != nil {
		counter(c.owners, now.Owners.Found, "found")
		counters(c.owners, now.Owners.NotFound)
	}
	c.fleet.collect(now.Fleet, counter, gauge)
	if now.Names != nil {
		gauge(c.names, float64(now.Names.Addresses))
		gauge(c.named, float64(now.Names.InUse))
		counter(c.evictedNames, now.Names.Evicted)
	}
}

// withZeros has the usual failures of a host that lacks something begin at 0: increase() does not
// see the first of a series that begins with it.
func withZeros(failures map[string]uint64) map[string]uint64 {
	all := map[string]uint64{"EADDRNOTAVAIL": 0, "EMFILE": 0, "ENFILE": 0, "ENOBUFS": 0, "ENOMEM": 0}
	maps.Copy(all, failures)
	return all
}
