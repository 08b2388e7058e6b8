package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	t.Parallel()
	r := report{
		date:    time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC),
		command: "go run ./cmd/internal/bench -o BENCH.md",
		machine: [][2]string{{"kernel", "Linux 6.18"}},
		routers: []column{
			{name: "direct", about: "no router"},
			{name: "relay", about: "a copy"},
			{name: "syntap", about: "with its log", version: "v1.0.0", command: "syntap run -c CONFIG", config: "tun: {}\ntap: {}\n"},
			{name: "syntap-nolog", about: "without it", variant: true},
		},
		figures:     []string{"up, Gbit/s", "UDP, p99, µs", "wakeups"},
		repetitions: 3,
		results: results{
			"direct": {"up, Gbit/s": {18, 20, 19}, "UDP, p99, µs": {600}},
			"relay":  {"up, Gbit/s": {10, 11, 9}, "wakeups": {0, 0, 0}},
			"syntap": {"up, Gbit/s": {9, 8, 7}, "UDP, p99, µs": {1200}, "wakeups": {0, 1, 0}},

			"syntap-nolog": {"up, Gbit/s": {8.8}},
		},
		notes: []string{"syntap, UDP: no\nanswer"},
	}
	want := `## Figures

Measured on 2026-11-23 by

    go run ./cmd/internal/bench -o BENCH.md

- kernel: Linux 6.18

The median of 3, and in brackets its ratio to relay, of UDP and QUIC to direct.

|              |      direct | relay |       syntap |
| ---          |        ---: |  ---: |         ---: |
| up, Gbit/s   | 19.0 (1.90) |  10.0 |  8.00 (0.80) |
| UDP, p99, µs |         600 |     – | 1,200 (2.00) |
| wakeups      |           – |  0.00 |         0.00 |

## What each part costs

syntap with one thing on or off, and in brackets the ratio to syntap as it is above.

|            | syntap-nolog |
| ---        |         ---: |
| up, Gbit/s |  8.80 (1.10) |

## Spread

The least and the greatest value.

|              |    direct |     relay |      syntap |
| ---          |      ---: |      ---: |        ---: |
| up, Gbit/s   | 18.0–20.0 | 9.00–11.0 |   7.00–9.00 |
| UDP, p99, µs |   600–600 |         – | 1,200–1,200 |
| wakeups      |         – | 0.00–0.00 |   0.00–1.00 |

|            | syntap-nolog |
| ---        |         ---: |
| up, Gbit/s |    8.80–8.80 |

## Routers

Each is started anew for each case. MTU is 1500 or as the case has it, SOURCES are host and
the network of a gateway's client, RULES a thousand rules that do not match.

- **direct**: no router
- **relay**: a copy
- **syntap**: with its log; v1.0.0

      syntap run -c CONFIG
      tun: {}
      tap: {}

- **syntap-nolog**: without it

## What went wrong

- syntap, UDP: no; answer
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(r.String(), "\n")); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value float64
		want  string
	}{
		{0, "0.00"},
		{0.654, "0.65"},
		{9.994, "9.99"},
		{9.996, "10.0"},
		{99.96, "100"},
		{999.6, "1,000"},
		{12548.4, "12,548"},
		{1234567, "1,234,567"},
	}
	for _, tt := range tests {
		if got := number(tt.value); got != tt.want {
			t.Errorf("number(%v) = %q, want %q", tt.value, got, tt.want)
		}
	}
}
