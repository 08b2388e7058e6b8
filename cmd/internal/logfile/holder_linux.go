package logfile

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// holder returns the process that has locked a file, 0 where it cannot be seen: its lock stands in
// proc_locks(5).
func holder(info fs.FileInfo) (pid int) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer locks.Close()
	inode := fmt.Sprintf(":%d", st.Ino) // the number of the device is another one here on some file systems
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4711 08:02:131093 0 EOF
		field := strings.Fields(lines.Text())
		if len(field) >= 6 && field[1] == "FLOCK" && strings.HasSuffix(field[5], inode) {
			if n, err := strconv.Atoi(field[4]); err == nil && n > 0 {
				return keeperOf(n)
			}
		}
	}
	return 0
}

// keeperOf returns the process that ends another one: a router's keeper, which has started it and
// would start the next; of any other, that one itself.
func keeperOf(pid int) int {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasPrefix(string(command), "syntap-router\x00") {
		return pid
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return pid
	}
	field := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // behind the name
	if len(field) < 2 {
		return pid
	}
	if parent, err := strconv.Atoi(field[1]); err == nil && parent > 1 {
		return parent
	}
	return pid
}
