//go:build linux

package stack

import (
	"slices"
	"testing"
)

// crowdTurns is more turns than any score needs to rise to the full, or to fall to nothing.
const crowdTurns = 2 * fullCrowd

func TestCrowd(t *testing.T) {
	t.Parallel()
	s := &Stack{}
	flows := make([]*flow, 8)
	for i := range flows {
		flows[i] = newFlow(s, flowKey{}, 0, nil)
	}
	for name, test := range map[string]struct {
		run  func(c *crowd, i int)
		want []bool
	}{
		"eight uploads": {func(c *crowd, i int) { c.ran(&flows[i%8].outbound, true) }, []bool{true}},
		"four uploads":  {func(c *crowd, i int) { c.ran(&flows[i%4].outbound, true) }, []bool{true}},
		"three uploads": {func(c *crowd, i int) { c.ran(&flows[i%3].outbound, true) }, nil},
		"one upload":    {func(c *crowd, _ int) { c.ran(&flows[0].outbound, true) }, nil},
		"downloads":     {func(c *crowd, i int) { c.ran(&flows[i%8].inbound, true) }, nil},
		"both": {func(c *crowd, i int) {
			c.ran(&flows[i%8].outbound, true)
			c.ran(&flows[i%8].inbound, true)
		}, nil},
		"uploads that move little": {func(c *crowd, i int) { c.ran(&flows[i%8].outbound, false) }, nil},
		"uploads with a round trip for every eight": {func(c *crowd, i int) {
			c.ran(&flows[i%8].outbound, true)
			if i%8 == 0 {
				c.ran(&flows[0].outbound, false)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []bool
			c := crowd{changed: func(crowded bool) { got = append(got, crowded) }}
			for i := range crowdTurns {
				test.run(&c, i)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("crowded: %v, want %v", got, test.want)
			}
			for range crowdTurns {
				c.ran(&flows[0].outbound, true)
			}
			if c.crowded || len(got)%2 != 0 {
				t.Errorf("crowded with one upload: %v", got)
			}
		})
	}
}
