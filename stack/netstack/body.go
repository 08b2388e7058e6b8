//go:build linux

package netstack

import (
	"reflect"
	"sync"
	"unsafe"

	"gvisor.dev/gvisor/pkg/atomicbitops"
	"gvisor.dev/gvisor/pkg/buffer"
)

// NewBody returns memory for the large part of a frame, all of it in use, from netstack's pool for
// the longest views. It has bytes of earlier frames in it, which the caller overwrites or cuts off
// (CapLength): netstack's own function clears 64 KiB, which takes half as long as to fill them.
func NewBody(size int) *buffer.View {
	v := viewPool.Get().(*buffer.View)
	c := reflect.ValueOf(chunkPools[len(chunkPools)-1].Get()).UnsafePointer()
	(*atomicbitops.Int64)(unsafe.Add(c, referencesAt)).Store(1)
	*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(v), chunkAt)) = c
	v.Grow(size)
	return v
}

// viewPool and chunkPools are where netstack keeps free views, and their memory by size.
var (
	//go:linkname viewPool gvisor.dev/gvisor/pkg/buffer.viewPool
	viewPool sync.Pool

	//go:linkname chunkPools gvisor.dev/gvisor/pkg/buffer.chunkPools
	chunkPools [11]sync.Pool
)

// chunkAt and referencesAt are the places of a view's memory, and of its counter of references.
var chunkAt, referencesAt = placesInView()

func placesInView() (chunk, references uintptr) {
	memory, ok := reflect.TypeFor[buffer.View]().FieldByName("chunk")
	if ok && memory.Type.Kind() == reflect.Pointer {
		if counter, ok := memory.Type.Elem().FieldByName("chunkRefs"); ok {
			count, ok := counter.Type.FieldByName("refCount")
			if ok && count.Type == reflect.TypeFor[atomicbitops.Int64]() {
				return memory.Offset, counter.Offset + count.Offset
			}
		}
	}
	panic("netstack: buffer.View has no such field chunk any more")
}
