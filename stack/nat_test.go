//go:build linux

package stack

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMappingsEndWhenIdle(t *testing.T) {
	type use struct {
		after time.Duration
		port  uint16 // of the destination; 0 = an answer comes
	}
	for _, tt := range []struct {
		name string
		echo bool
		uses []use // the first makes the mapping
		want time.Duration
	}{
		{"unanswered", false, []use{{0, 443}}, 30 * time.Second},
		{"used again", false, []use{{0, 443}, {20 * time.Second, 80}}, 50 * time.Second},
		{"answered", false, []use{{0, 443}, {time.Second, 0}}, 121 * time.Second},
		{"answered and used again", false, []use{{0, 443}, {time.Second, 0}, {100 * time.Second, 443}}, 221 * time.Second},
		{"name lookup", false, []use{{0, portDNS}, {time.Second, 0}}, 11 * time.Second},
		{"name lookup, then more", false, []use{{0, portDNS}, {time.Second, 443}, {time.Second, 0}}, 122 * time.Second},
		{"echo", true, []use{{0, 0}}, 30 * time.Second},
		{"echo answered", true, []use{{0, 0}, {time.Second, 0}}, 31 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stats Stats
				n := newNAT(1, &stats)
				ended := make(chan struct{})
				go func() { n.serve(); close(ended) }()
				start := time.Now()
				m := &mapping{stack: &Stack{}, key: mappingKey{client: netip.AddrPortFrom(clientV4, 5353), echo: tt.echo}, fd: -1}
				for i, u := range tt.uses {
					time.Sleep(u.after)
					switch {
					case i == 0:
						n.add(m, u.port)
					case u.port == 0:
						n.heard(m)
					default:
						if n.find(m.key, u.port) != m {
							t.Fatal("no mapping")
						}
					}
				}
				flows := &stats.UDPFlows
				if tt.echo {
					flows = &stats.EchoFlows
				}
				for flows.Load() != 0 && time.Since(start) < time.Hour {
					time.Sleep(time.Second / 2)
					synctest.Wait()
				}
				if got := time.Since(start); got != tt.want {
					t.Errorf("mapping lived %v, want %v", got, tt.want)
				}
				n.close()
				<-ended
			})
		})
	}
}

func TestFullTableEvictsOldestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stats Stats
		n := newNAT(4, &stats)
		defer n.close()
		key := func(port uint16) mappingKey { return mappingKey{client: netip.AddrPortFrom(clientV4, port)} }
		add := func(client, port uint16, answered bool) {
			m := &mapping{stack: &Stack{}, key: key(client), fd: -1}
			n.add(m, port)
			if answered {
				n.heard(m)
			}
			time.Sleep(time.Millisecond)
		}
		add(1, 443, true)
		add(2, portDNS, true)
		add(3, 443, false)
		add(4, portDNS, false)
		n.find(key(2), portDNS) // makes 3 the oldest
		for _, want := range [][]uint16{{1, 2, 4}, {1, 2}, {1}} {
			if !n.makeRoom() {
				t.Fatal("no room")
			}
			var left []uint16
			for port := range uint16(5) {
				if n.byKey[key(port)] != nil {
					left = append(left, port)
				}
			}
			if diff := cmp.Diff(want, left); diff != "" {
				t.Errorf("mappings left (-want +got):\n%s", diff)
			}
			n.limit = len(left)
		}
		if n.makeRoom() {
			t.Error("an answered mapping made room")
		}
		if got := stats.EvictedFlows.Load(); got != 3 {
			t.Errorf("evicted: %d, want 3", got)
		}
	})
}
