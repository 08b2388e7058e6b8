package clientpath

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

func TestPathsForget(t *testing.T) {
	t.Parallel()
	var learned, evicted atomic.Uint64
	p := New(1500, nil, &learned, &evicted)
	addr := netip.MustParseAddr("2001:db8::")
	for range maxPaths + 100 {
		addr = addr.Next()
		p.Learn(addr, 1300)
	}
	if len(p.known) != maxPaths || evicted.Load() != 100 || learned.Load() != maxPaths+100 {
		t.Errorf("%d clients remembered, %d forgotten, %d learned; want %d, 100 and 100 more",
			len(p.known), evicted.Load(), learned.Load(), maxPaths)
	}
	p.update(addr, func(to *path) { to.heard = time.Now().Add(-learnedAge) })
	if n := p.SegmentMTU(addr); n != 1500 {
		t.Errorf("path MTU %d after %v, want the link's", n, learnedAge)
	}
}
