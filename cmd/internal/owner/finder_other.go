//go:build !linux

package owner

import (
	"errors"
	"net/netip"

	"syntap/tap"
)

// Finder needs Linux.
type Finder struct{}

// NewFinder is not supported on this system.
func NewFinder() (*Finder, error) { return nil, errors.ErrUnsupported }

// Allow allows nothing.
func (f *Finder) Allow() bool { return false }

// Find finds nobody.
func (f *Finder) Find(_, _ netip.AddrPort) (tap.Owner, bool) { return tap.Owner{}, false }

// Close does nothing.
func (f *Finder) Close() error { return nil }
