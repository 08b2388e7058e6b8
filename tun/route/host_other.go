//go:build !linux

package route

import (
	"context"
	"errors"
	"fmt"
)

var errNotSupported = fmt.Errorf("route into a TUN: %w: syntap needs Linux", errors.ErrUnsupported)

// Host is what Configure has changed.
type Host struct{}

// Configure is not supported on this system.
func Configure(Config) (*Host, error) { return nil, errNotSupported }

// Plan is not supported on this system.
func Plan(Config, int) ([]string, error) { return nil, errNotSupported }

// Cleanup is not supported on this system.
func Cleanup(string, bool) ([]Cleaned, error) { return nil, errNotSupported }

// Notices is not supported on this system.
func Notices(Config) ([]Notice, error) { return nil, errNotSupported }

// ConnTrack is not supported on this system.
func ConnTrack() error { return errNotSupported }

// StrictReversePath is not supported on this system.
func StrictReversePath() ([]string, error) { return nil, errNotSupported }

func (h *Host) Watch(context.Context, Report) error { return errNotSupported }
func (h *Host) Refused() uint64                     { return 0 }
func (h *Host) Restored() uint64                    { return 0 }
func (h *Host) Close() error                        { return errNotSupported }
func (h *Host) Abandon()                            {}
