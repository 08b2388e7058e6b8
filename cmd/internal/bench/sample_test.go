package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	c := newCounter()
	c.bytes.Add(10)
	for i := range 200 {
		c.operation(time.Duration(200-i) * time.Millisecond)
	}
	var out bytes.Buffer
	if err := c.answer(strings.NewReader("\n\n"), &out); err != nil {
		t.Fatal(err)
	}
	samples := json.NewDecoder(&out)
	for i, p := range [][2]time.Duration{{101 * time.Millisecond, 199 * time.Millisecond}, {}} {
		var s sample
		if err := samples.Decode(&s); err != nil {
			t.Fatalf("sample %d: %v", i, err)
		}
		if s.Bytes != 10 || s.Done != 200 || s.P50 != p[0] || s.P99 != p[1] || s.Elapsed <= 0 {
			t.Errorf("sample %d: %+v, want 10 bytes, 200 done, p50 and p99 %v", i, s, p)
		}
	}
}
