//go:build linux

package limits

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// MoreDescriptors is the remedy where a process may open too few files.
const MoreDescriptors = "let it have more descriptors: ulimit -n 65536, or LimitNOFILE= in its unit"

// LeastDescriptors are for all that is no connection: logs, queues of the TUN, listeners, questions
// to the kernel.
const LeastDescriptors = 64

// CheckDescriptors refuses a limit of open files (RLIMIT_NOFILE) under which a process may lack one
// for a thing that it does later.
func CheckDescriptors() error {
	limit := Descriptors()
	if limit >= LeastDescriptors {
		return nil
	}
	return hint.Fail(fmt.Errorf("the limit of open files is %d, less than %d (RLIMIT_NOFILE)", limit, LeastDescriptors), MoreDescriptors)
}

// Explain adds the remedy to an error of a limit: of open files, or of the size of a file, which
// holds for memory that processes share, too.
func Explain(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return hint.Fail(err, MoreDescriptors)
	case errors.Is(err, unix.EFBIG):
		return hint.Fail(err, "lift the limit of the size of files: ulimit -f unlimited, or LimitFSIZE= in its unit")
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
