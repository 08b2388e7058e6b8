//go:build !linux

package owner

import (
	"errors"
	"net/netip"
)

// Finder needs Linux.
type Finder struct{}

// NewFinder is not supported on this system.
func NewFinder() (*Finder, error) { return nil, errors.ErrUnsupported }

// Lacks returns nothing.
func (f *Finder) Lacks() []string { return nil }

// Stats returns nothing.
func (f *Finder) Stats() Stats { return Stats{} }

// Socket finds none.
func (f *Finder) Socket(_, _ netip.AddrPort) (Socket, bool) { return Socket{}, false }

// Search begins none.
func (f *Finder) Search(_ Socket, _ func(Process)) (Process, bool) { return Process{}, false }

// Close does nothing.
func (f *Finder) Close() error { return nil }
