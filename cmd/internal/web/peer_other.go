//go:build !linux

package web

import (
	"errors"
	"net"
)

// peerUser is the same for all: this system is not asked.
func peerUser(*net.UnixConn) string { return "" }

func peerUID(*net.UnixConn) (uint32, error) { return 0, errors.ErrUnsupported }

func ownsDirectory(uint32, string) bool { return false }
