//go:build linux

package stack

import (
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

// Every counter of drops is reported, under a reason of its own.
func TestEveryDropIsReported(t *testing.T) {
	var s Stats
	before := len(s.InboundDrops()) + len(s.Drops())
	counters, v := 0, reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if counter, ok := reflect.TypeAssert[*atomic.Uint64](v.Field(i).Addr()); ok {
			if strings.HasPrefix(name, "Drop") || name == "InboundErrors" {
				counters++
				counter.Add(1)
			}
		}
	}
	reported := 0
	for _, drops := range []map[string]uint64{s.Drops(), s.InboundDrops()} {
		for reason, n := range drops {
			reported += int(n)
			if n > 1 {
				t.Errorf("%d counters are reported as %s", n, reason)
			}
		}
	}
	if reported != counters || counters == 0 {
		t.Errorf("%d counters are reported of %d", reported, counters)
	}
	if after := len(s.InboundDrops()) + len(s.Drops()); after != before {
		t.Errorf("%d reasons, %d before there were drops", after, before)
	}
}
