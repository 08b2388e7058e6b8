//go:build !cgo

package isolate

// besideC says that the program has threads of C's.
const besideC = false

// threads returns no error: Go's runtime knows all threads.
func threads() error { return nil }
