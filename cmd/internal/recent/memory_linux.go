package recent

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// share returns memory, and a file from which others map it to read.
func share(size int) ([]byte, *os.File, error) {
	fd, err := unix.MemfdCreate("recent", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("make memory for recent records: %w", err)
	}
	f := os.NewFile(uintptr(fd), "recent")
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, nil, fmt.Errorf("make memory for recent records: %w", err)
	}
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map memory for recent records: %w", err)
	}
	const sealed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, sealed|unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 5.1
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, sealed|unix.F_SEAL_SEAL)
	}
	var readable *os.File
	if err == nil {
		readable, err = os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("seal memory for recent records: %w", err), unix.Munmap(b))
	}
	return b, readable, nil
}

// mapped returns the memory of a file that share has returned.
func mapped(f *os.File) ([]byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, memoryBytes, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map memory of recent records: %w", err)
	}
	return b, nil
}
