package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		values []float64
		want   float64
		ok     bool
	}{
		{"none", nil, 0, false},
		{"one", []float64{4}, 4, true},
		{"odd", []float64{9, 1, 4}, 4, true},
		{"even", []float64{9, 1, 4, 5}, 4.5, true},
	}
	for _, tt := range tests {
		if m, ok := median(tt.values); m != tt.want || ok != tt.ok {
			t.Errorf("median, %s: %v, %t, want %v, %t", tt.name, m, ok, tt.want, tt.ok)
		}
	}
}

func TestMedianKeepsOrder(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	median(values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Errorf("median has moved its argument's values (-want +got):\n%s", diff)
	}
}

func TestResultsAdd(t *testing.T) {
	t.Parallel()
	r := make(results)
	r.add("syntap", map[string]float64{"up": 1, "down": 2})
	r.add("syntap", map[string]float64{"up": 3})
	r.add("relay", nil)
	want := results{"syntap": {"up": {1, 3}, "down": {2}}, "relay": {}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestAbout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		d    time.Duration
		want string
	}{
		{20 * time.Second, "less than a minute"},
		{80 * time.Second, "about a minute"},
		{230 * time.Second, "about 4 minutes"},
	}
	for _, tt := range tests {
		if got := about(tt.d); got != tt.want {
			t.Errorf("about(%v) = %q, want %q", tt.d, got, tt.want)
		}
	}
}
