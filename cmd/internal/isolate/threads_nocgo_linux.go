//go:build !cgo

package isolate

// threads returns no error: Go's runtime knows all threads.
func threads() error { return nil }
