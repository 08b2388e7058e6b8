//go:build linux

package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Return gives back memory that a process has needed for a while, such as that of its start, or of
// many connections that have opened or closed, until ctx ends. The pages of a nil Program stay.
func Return(ctx context.Context, p *Program) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var h heap
	h.read()
	started, rest := false, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		h.read()
		switch {
		case rest > 0:
			rest--
		case h.calm() && (!started || h.excess() > h.spare()):
			debug.FreeOSMemory()
			_ = p.Unmap()
			h.read()
			started, rest = true, h.live/collectedEachSecond
		}
	}
}

// ReturnAll is Return for a process that may open files: its program's pages go, too.
func ReturnAll(ctx context.Context) {
	p, _ := OpenProgram() // without it the pages stay
	defer p.Close()
	Return(ctx, p)
}

// collectedEachSecond is the live memory in bytes for whose collection the next one is put off by a
// second. Its processor time is below a hundredth of that.
const collectedEachSecond = 4 << 20

// leastSpare is the least memory in bytes that is worth a collection.
const leastSpare = 2 << 20

// heap is Go's heap in bytes.
type heap struct {
	samples [4]metrics.Sample

	all       uint64 // allocated since the start
	allocated uint64 // of these, since the last read
	live      uint64 // found at the last collection
	objects   uint64 // live or garbage
	free      uint64 // pages that hold no object, and are not the system's
}

func (h *heap) read() {
	h.samples[0].Name, h.samples[1].Name = "/gc/heap/allocs:bytes", "/gc/heap/live:bytes"
	h.samples[2].Name = "/memory/classes/heap/objects:bytes"
	h.samples[3].Name = "/memory/classes/heap/free:bytes"
	metrics.Read(h.samples[:])
	all := h.samples[0].Value.Uint64()
	h.allocated, h.all = all-h.all, all
	h.live, h.objects = h.samples[1].Value.Uint64(), h.samples[2].Value.Uint64()
	h.free = h.samples[3].Value.Uint64()
}

// spare returns the bytes that the router may keep.
func (h *heap) spare() uint64 { return max(leastSpare, h.live/8) }

// calm reports whether half a minute of the last second's allocations would fit the spare.
func (h *heap) calm() bool { return h.allocated < h.spare()/32 }

// excess returns the bytes that a collection would give back. Objects since the last one may live,
// so it is an upper bound.
func (h *heap) excess() uint64 { return h.objects - min(h.objects, h.live) + h.free }
