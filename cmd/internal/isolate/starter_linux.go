package isolate

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// LimitChildren has programs that the calling thread starts get capabilities from their ambient set
// alone, and none that is not made ambient for them. It empties the ambient set of this thread and,
// where it may (CAP_SETPCAP), the bounding set, and makes the capabilities that it has inheritable,
// so that they can be given.
func LimitChildren() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("empty the ambient set: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_SETPCAP) == 0 {
		return nil
	}
	for i := range data {
		data[i].Inheritable |= data[i].Permitted
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("make capabilities inheritable: %w", err)
	}
	for c := uintptr(0); ; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) { // that was the last
			return nil
		}
		if err != nil {
			return fmt.Errorf("empty the bounding set: %w", err)
		}
	}
}
