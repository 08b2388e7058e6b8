package isolate

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// The users that no package and no administrator gives out, as systemd takes them for services with
// DynamicUser= (https://systemd.io/UIDS-GIDS). Containers have them, too.
const (
	firstDynamic = 61184
	lastDynamic  = 65519
)

// errNoUser is the error where all of these are in use.
var errNoUser = errors.New("no user is free")

// unusedUser returns the number of a user that no entry of /etc/passwd or /etc/group and no process
// has: the last of them, or the first, so that two processes that look at the same time differ.
func unusedUser(first bool) (uint32, error) {
	used := make(map[uint32]bool)
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		for _, n := range numbers(file) {
			used[n] = true
		}
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		var stat unix.Stat_t
		if unix.Stat(dir, &stat) == nil {
			used[stat.Uid], used[stat.Gid] = true, true
		}
	}
	known := mapped()
	for i := range uint32(lastDynamic - firstDynamic + 1) {
		n := lastDynamic - i
		if first {
			n = firstDynamic + i
		}
		if !used[n] && known(n) {
			return n, nil
		}
	}
	return 0, errNoUser
}

// numbers returns the third field of each line of a file like passwd(5).
func numbers(file string) (all []uint32) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			continue
		}
		if n, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
			all = append(all, uint32(n))
		}
	}
	return all
}

// mapped returns a test of which users the user namespace knows (user_namespaces(7)).
func mapped() func(n uint32) bool {
	type extent struct{ first, length uint64 }
	var users []extent
	text, _ := os.ReadFile("/proc/self/uid_map")
	for line := range strings.Lines(string(text)) {
		var e extent
		var outside uint64
		if _, err := fmt.Sscan(line, &e.first, &outside, &e.length); err == nil {
			users = append(users, e)
		}
	}
	return func(n uint32) bool {
		for _, e := range users {
			if uint64(n) >= e.first && uint64(n)-e.first < e.length {
				return true
			}
		}
		return false
	}
}

// takeOwnUser has this process, all of its threads, run as a user that nothing else of this machine
// has, if it may, as unusedUser says, and if its user namespace knows them. It keeps its permitted
// capabilities, and ends with the process that has started it.
func takeOwnUser(first bool) error {
	if os.Geteuid() != 0 || !may(cap.SETUID) || !may(cap.SETGID) || !may(cap.KILL) {
		return nil // without CAP_KILL its keeper could not end it
	}
	if known := mapped(); !known(firstDynamic) && !known(lastDynamic) {
		return nil
	}
	// Root's processes are not counted, whatever the limit says.
	if threads := raise(unix.RLIMIT_NPROC, mostThreads); threads < fewestThreads {
		return fmt.Errorf("run as a user of its own: it may have %d threads (RLIMIT_NPROC)", threads)
	}
	user, err := unusedUser(first)
	if err != nil {
		return fmt.Errorf("run as a user of its own: %w", err)
	}
	id := int(user)
	for _, step := range []func() error{
		func() error { return prctl(unix.PR_SET_KEEPCAPS, 1) },
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setresgid(id, id, id) },
		func() error { return syscall.Setresuid(id, id, id) },
		func() error { return prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)) }, // forgotten with the user before
	} {
		if err := step(); err != nil {
			return fmt.Errorf("run as a user of its own: %w", err)
		}
	}
	return nil
}

// may reports whether this process has a capability in effect.
func may(c cap.Value) bool {
	had, err := cap.GetPID(0)
	if err != nil {
		return false
	}
	has, err := had.GetFlag(cap.Effective, c)
	return err == nil && has
}

// prctl calls prctl(2) in all threads.
func prctl(option int, arg uintptr) error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, uintptr(option), arg, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
