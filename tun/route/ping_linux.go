package route

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// pingGroups is the range of groups that may open ping sockets (icmp(7)), noGroup its default in
// the kernel: none. Distributions differ: Debian 12 leaves the default.
const (
	pingGroups = "net/ipv4/ping_group_range"
	noGroup    = "1\t0"
)

// pings returns the range by which this process's group may open ping sockets, "" if it is not to
// be set: the process does without, or the range is another program's. former is what a run has
// set.
func pings(former string) string {
	now := readPingGroups()
	if now != noGroup && (now != former || former == "") || hasRawSockets() {
		return ""
	}
	return fmt.Sprintf("%d\t%[1]d", os.Getegid())
}

func readPingGroups() string {
	b, _ := os.ReadFile(filepath.Join("/proc/sys", pingGroups)) // "" is not set
	return strings.TrimSpace(string(b))
}

// hasRawSockets reports whether this process may open raw sockets, which do for pings, too.
func hasRawSockets() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	err := unix.Capget(&header, &sets[0])
	return err == nil && sets[0].Effective&(1<<unix.CAP_NET_RAW) != 0
}

// pingStep grants ping sockets to the groups of a range, in place of none.
func pingStep(groups string) step {
	set := func(value string) string {
		return fmt.Sprintf("sysctl -qw %s=%q", pingGroups, strings.ReplaceAll(value, "\t", " "))
	}
	s := sysctlStep(pingGroups, groups)
	s.command, s.revert = set(groups), set(noGroup)
	s.undo = func(*handles) error {
		if readPingGroups() != groups {
			return unix.ENOENT // another program has set it since
		}
		return os.WriteFile(filepath.Join("/proc/sys", pingGroups), []byte(noGroup), 0)
	}
	return s
}
