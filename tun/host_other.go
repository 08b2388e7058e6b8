//go:build !linux

package tun

// Host is what Configure has changed.
type Host struct{}

// Configure is not supported on this system.
func Configure(HostConfig) (*Host, error) { return nil, errNotSupported }

// Close undoes what Configure did.
func (h *Host) Close() error { return errNotSupported }

// Cleanup is not supported on this system.
func Cleanup(HostConfig) error { return errNotSupported }
