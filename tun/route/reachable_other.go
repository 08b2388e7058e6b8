//go:build !linux

package route

import "net/netip"

// Reachable is not supported on this system.
func Reachable() ([]netip.Prefix, error) { return nil, errNotSupported }
