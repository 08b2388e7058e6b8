package main

import (
	"math"
	"testing"
)

func TestRatio(t *testing.T) {
	t.Parallel()
	near := func(a, b float64) bool { return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-9 }
	for name, tt := range map[string]struct {
		of, to    []float64
		mean, err float64
		ok        bool
	}{
		"none":               {nil, []float64{1}, 0, 0, false},
		"one":                {[]float64{3}, []float64{2}, 1.5, math.NaN(), true},
		"equal ones":         {[]float64{2, 4}, []float64{4, 8}, 0.5, 0, true},
		"two":                {[]float64{1, math.E * math.E}, []float64{1, 1}, math.E, math.E, true},
		"one and its like":   {[]float64{1, 2}, []float64{2, 1}, 1, math.Ln2, true},
		"ones that are zero": {[]float64{1, 2, 0}, []float64{0, 2, 2}, 1, math.NaN(), true},
		"one that is short":  {[]float64{1, 2, 3}, []float64{1}, 1, math.NaN(), true},
	} {
		mean, err, ok := ratio(tt.of, tt.to)
		if ok != tt.ok || ok && (!near(mean, tt.mean) || !near(err, tt.err)) {
			t.Errorf("%s: %v ± %v, %t, want %v ± %v, %t", name, mean, err, ok, tt.mean, tt.err, tt.ok)
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	r := report{
		routers: []column{{name: "base"}, {name: "syntap"}, {name: "syntap-nolog"}},
		figures: []string{"up, Gbit/s", "idle"},
		results: results{
			"base": {"up, Gbit/s": {10, 20}}, "syntap": {"up, Gbit/s": {9, 22}}, "syntap-nolog": {"up, Gbit/s": {9, 22}},
		},
	}
	want := `
## Against the base

The geometric mean of the ratios within each round of turns, and its standard error.

|            | syntap / base |
| ---        |          ---: |
| up, Gbit/s | 0.995 ± 0.100 |
`
	if got := r.changes(); got != want {
		t.Errorf("changes:\n%s\nwant:\n%s", got, want)
	}
	r.routers = r.routers[1:]
	if got := r.changes(); got != "" {
		t.Errorf("without a base:\n%s", got)
	}
}
