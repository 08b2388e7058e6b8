package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is a child's counters at one moment.
type sample struct {
	Elapsed time.Duration // since the child started, by its own clock
	Bytes   int64         // received
	Done    int64         // operations: connections opened, round trips made
	Failed  int64
	P50     time.Duration // the median of the operations since the last sample
	P99     time.Duration
}

// counter counts in a child.
type counter struct {
	start               time.Time
	bytes, done, failed atomic.Int64

	mu   sync.Mutex      // guards took
	took []time.Duration // by each operation since the last sample
}

func newCounter() *counter { return &counter{start: time.Now()} }

// operation counts one that took so long.
func (c *counter) operation(took time.Duration) {
	c.done.Add(1)
	c.mu.Lock()
	c.took = append(c.took, took)
	c.mu.Unlock()
}

func (c *counter) sample() sample {
	c.mu.Lock()
	took := c.took
	c.took = nil
	c.mu.Unlock()
	s := sample{Elapsed: time.Since(c.start), Bytes: c.bytes.Load(), Done: c.done.Load(), Failed: c.failed.Load()}
	if len(took) > 0 {
		slices.Sort(took)
		s.P50, s.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	return s
}

// answer writes a sample for each line of r, until there are no more.
func (c *counter) answer(r io.Reader, w io.Writer) error {
	lines, samples := bufio.NewScanner(r), json.NewEncoder(w)
	for lines.Scan() {
		if err := samples.Encode(c.sample()); err != nil {
			return fmt.Errorf("write sample: %w", err)
		}
	}
	return lines.Err()
}
