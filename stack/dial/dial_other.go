//go:build !linux

package dial

import (
	"net/netip"
	"time"
)

// Options say how the far side is reached.
type Options struct {
	Mark        uint32
	Interface   string
	Policy      Policy
	Keepalive   Keepalive
	UserTimeout time.Duration
	Redirect    func(netip.AddrPort) (netip.AddrPort, bool)
}

// Dialer opens sockets towards the world; only Linux has what it needs.
type Dialer struct{}

// New returns a Dialer of no use.
func New(Options) *Dialer { return &Dialer{} }

// SetOptions does nothing.
func (d *Dialer) SetOptions(Options) {}

// ClientMTU knows no route.
func (d *Dialer) ClientMTU(netip.Addr) int { return 0 }
