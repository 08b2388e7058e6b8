//go:build linux

package netstack

import "testing"

// The memory of a body stays while there is a view of it. Then it goes back to netstack's pool,
// from which it comes again as it is.
func TestBodyIsUsedAgain(t *testing.T) {
	t.Parallel()
	const size = 1 << 16
	used := false
	for range 100 {
		v := NewBody(size)
		b := v.AsSlice()
		if len(b) != size {
			t.Fatalf("%d bytes, want %d", len(b), size)
		}
		used = used || b[size-1] != 0
		b[size-1] = 'x'
		second := v.Clone()
		v.Release()
		other := NewBody(size)
		other.AsSlice()[size-1] = 'y'
		other.Release()
		if second.AsSlice()[size-1] != 'x' {
			t.Error("memory that a second view holds was given away")
		}
		second.Release()
	}
	if !used {
		t.Error("no body had been used before")
	}
}
