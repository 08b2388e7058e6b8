//go:build linux

package app

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// moreDescriptors is the remedy where there are too few to start.
const moreDescriptors = "let it have more descriptors: ulimit -n 65536, or LimitNOFILE= in its unit"

// explainFew adds that remedy to an error, if it is one.
func explainFew(err error) error {
	if errors.Is(err, unix.EMFILE) {
		return hint.Fail(err, moreDescriptors)
	}
	return err
}

// descriptorLimit returns how many files the process may have open. Go's runtime has raised the
// soft limit to the hard one.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return limit.Cur
}
