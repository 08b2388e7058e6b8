package limits

import (
	"fmt"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// leastAddressSpace is the size of the addresses that Go may reserve while it uses a hundredth of
// that as memory.
const leastAddressSpace = 2 << 30

// CheckAddressSpace refuses a limit (RLIMIT_AS) under which Go's runtime may end the process at any
// time.
func CheckAddressSpace() error {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur >= leastAddressSpace {
		return nil
	}
	return hint.Fail(fmt.Errorf("the limit of address space is %d MiB, less than %d MiB", limit.Cur>>20, leastAddressSpace>>20),
		"lift it, ulimit -v unlimited, and limit memory instead: MemoryMax= in its unit, or GOMEMLIMIT")
}
