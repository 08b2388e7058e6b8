package pathmtu

import (
	"errors"
	"net/netip"
	"testing"
)

// TestFind finds sizes exactly, although packets are lost by chance: of each size up to three times
// in a row.
func TestFind(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"192.0.2.1", "2001:db8::1"} {
		address := netip.MustParseAddr(to)
		for _, tt := range []struct{ top, path, want int }{
			{1500, 1500, 1500},
			{1500, 1499, 1499},
			{1500, 1400, 1400},
			{1500, 1281, 1281},
			{1500, 1280, 1280},
			{1492, 1300, 1300},
			{1500, floorOf(address), floorOf(address)},
			{floorOf(address), 100, floorOf(address)}, // nothing is to be cured
		} {
			lost := make(map[int]int)
			got, err := Find(tt.top, address, func(sizes []int) (reached []bool, _ error) {
				for _, size := range sizes {
					lost[size]++
					reached = append(reached, size <= tt.path && lost[size]%4 == 0)
				}
				return reached, nil
			})
			if got != tt.want || err != nil {
				t.Errorf("%s: path %d: found %d of %d: %v", to, tt.path, got, tt.top, err)
			}
		}
		failure := errors.New("gone")
		if _, err := Find(1500, address, func([]int) ([]bool, error) { return nil, failure }); !errors.Is(err, failure) {
			t.Errorf("error %v, want that of the probe", err)
		}
		if _, err := Find(1500, address, func(sizes []int) ([]bool, error) { return make([]bool, len(sizes)), nil }); err == nil {
			t.Error("no error where nothing passes")
		}
	}
}

// TestFindDespiteLoss has a size fail in a round that passes later.
func TestFindDespiteLoss(t *testing.T) {
	t.Parallel()
	bad := roundTries
	got, err := Find(1500, netip.MustParseAddr("192.0.2.1"), func(sizes []int) (reached []bool, _ error) {
		for _, size := range sizes {
			reached = append(reached, size <= 1450 && (size < 1400 || bad == 0))
		}
		bad = max(0, bad-1)
		return reached, nil
	})
	if got != 1450 || err != nil {
		t.Errorf("found %d, %v, want 1450", got, err)
	}
}
