//go:build unix

package app

import "golang.org/x/sys/unix"

// descriptorLimit returns how many files the process may have open. Go has raised it as far as it
// may be.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return noDescriptorLimit
	}
	return uint64(limit.Cur) // signed on FreeBSD
}
