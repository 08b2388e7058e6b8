package web

import "github.com/prometheus/client_golang/prometheus"

// buckets are the upper bounds of the histograms in seconds: from a local network to a dial that
// takes its whole time.
var buckets = []float64{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func newHistogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: "syntap", Name: name, Help: help, Buckets: buckets,
	})
}
