//go:build !linux

package route

// QueueDrops is not supported on this system.
func QueueDrops(string) (uint64, error) { return 0, errNotSupported }
