//go:build !linux

package tun

import "context"

// Host is what Configure has changed.
type Host struct{}

// Configure is not supported on this system.
func Configure(HostConfig) (*Host, error) { return nil, errNotSupported }

// Plan is not supported on this system.
func Plan(HostConfig, int) ([]string, error) { return nil, errNotSupported }

// Cleanup is not supported on this system.
func Cleanup(string, bool) ([]Cleaned, error) { return nil, errNotSupported }

// Notices is not supported on this system.
func Notices(HostConfig) ([]Notice, error) { return nil, errNotSupported }

// ConnTrack is not supported on this system.
func ConnTrack() error { return errNotSupported }

// StrictReversePath is not supported on this system.
func StrictReversePath() ([]string, error) { return nil, errNotSupported }

func (h *Host) Watch(context.Context, Reports) error { return errNotSupported }
func (h *Host) Refused() uint64                      { return 0 }
func (h *Host) Restored() uint64                     { return 0 }
func (h *Host) Close() error                         { return errNotSupported }
func (h *Host) Abandon()                             {}
