//go:build linux

package limits

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// MoreDescriptors is the remedy where a process may open too few files.
const MoreDescriptors = "let it have more descriptors: ulimit -n 65536, or LimitNOFILE= in its unit"

// Explain adds that remedy to an error that says so.
func Explain(err error) error {
	if errors.Is(err, unix.EMFILE) {
		return hint.Fail(err, MoreDescriptors)
	}
	return err
}

// Descriptors returns how many files the process may have open. Go's runtime has raised the
// soft limit to the hard one.
func Descriptors() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return limit.Cur
}
