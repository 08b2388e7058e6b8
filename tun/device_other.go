//go:build !linux

package tun

import (
	"errors"
	"fmt"
	"os"
)

// Device is a TUN interface; only Linux has one that moves whole frames.
type Device struct{ stats Stats }

var _ Link = (*Device)(nil)

var errNotSupported = fmt.Errorf("TUN interface: %w: syntap needs Linux", errors.ErrUnsupported)

// Open is not supported on this system.
func Open(string, int) (*Device, error) { return nil, errNotSupported }

// FromFile is not supported on this system.
func FromFile(*os.File, int) (*Device, error) { return nil, errNotSupported }

func (d *Device) Name() string                                { return "" }
func (d *Device) MTU() int                                    { return 0 }
func (d *Device) Stats() *Stats                               { return &d.stats }
func (d *Device) ReadFrame(_, _ []byte) (int, Offload, error) { return 0, Offload{}, errNotSupported }
func (d *Device) WriteFrame(Offload, [][]byte) error          { return errNotSupported }
func (d *Device) Close() error                                { return nil }
