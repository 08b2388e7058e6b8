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
				return n
			}
		}
	}
	return 0
}
