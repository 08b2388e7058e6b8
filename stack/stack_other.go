//go:build !linux

package stack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"syntap/stack/dial"
	"syntap/tun"
	tunflow "syntap/tun/flow"
)

// Stack terminates what comes out of a link; only Linux has what it needs.
type Stack struct{ stats Stats }

// New is not supported on this system.
func New(tun.Link, *dial.Dialer, Options) (*Stack, error) {
	return nil, fmt.Errorf("router: %w: syntap needs Linux", errors.ErrUnsupported)
}

// SetLimits does nothing.
func (s *Stack) SetLimits(Options) {}

// Run is not supported on this system.
func (s *Stack) Drain(context.Context) int { return 0 }
func (s *Stack) Run(context.Context) error { return errors.ErrUnsupported }

// PathMTU knows nothing.
func (s *Stack) PathMTU(_, _ netip.AddrPort) int { return 0 }

// Recorded is for connections, of which there are none.
func (s *Stack) Recorded(tunflow.Key, uint32) {}

// Stats returns the stack's counters.
func (s *Stack) Stats() *Stats { return &s.stats }

// Memory returns zero values.
func (s *Stack) Memory() Memory { return Memory{} }
