//go:build !linux

package namespace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// Main does nothing on this system.
func Main() {}

// Session is one command in its namespaces; only Linux has them.
type Session struct{}

var errNotSupported = fmt.Errorf("create user namespace: %w: syntap exec needs Linux", errors.ErrUnsupported)

// Start is not supported on this system.
func Start(context.Context, Options) (*Session, error) { return nil, errNotSupported }

// RootDoors returns none.
func RootDoors([]string) []string { return nil }

func (s *Session) TUN() *os.File                                          { return nil }
func (s *Session) Redirect(netip.AddrPort) (real netip.AddrPort, ok bool) { return }
func (s *Session) Run() (status int, err error)                           { return 0, errNotSupported }
func (s *Session) UntilSignalled(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
func (s *Session) Close() {}
