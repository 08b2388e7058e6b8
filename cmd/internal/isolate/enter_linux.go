package isolate

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"syntap/cmd/internal/seccomp"
)

// Needs are those of one process besides those of a router that has a keeper.
type Needs struct {
	Children bool // it has a command, which it signals and waits for
	Host     bool // it changes links, routes and nftables
	Files    bool // it writes files
	Routers  bool // it starts routers, which have no other rights than it has
	Alone    bool // in user namespaces of their own, as Alone has them
	Sockets  bool // it makes sockets of IPv4, IPv6 and Unix
	Page     bool // it accepts connections, and has no other need

	// Of one that writes no files, and so opens none: the directories below which it reads names,
	// and the memory that it takes beyond what it has, in bytes; 0 = without a bound.
	Names  []string
	Memory uint64
}

// kept are the capabilities that a process uses which routes alone, or keeps the host, of those
// that it has. A router that has a keeper uses none.
var kept = []cap.Value{
	cap.NET_ADMIN,        // routes, rules, nftables; marks, and buffers beyond net.core.rmem_max, of sockets
	cap.NET_RAW,          // sockets for echoes whose identifier is kept, and for ICMP errors
	cap.NET_BIND_SERVICE, // ports of clients below 1024
	cap.SYS_PTRACE,       // owners: the descriptors of other users' processes
	cap.DAC_READ_SEARCH,  // the same
	cap.DAC_OVERRIDE,     // logs in directories of other users
}

// keeps are the capabilities that a keeper keeps: a router has another user.
var keeps = append(slices.Clone(kept), cap.SETUID, cap.SETGID, cap.KILL)

// LimitKeeper takes from the bounding set, of all threads, as Enter will of a process that starts
// routers. It takes one call for each capability and thread, 5 ms in all.
func LimitKeeper() error { return dropBounding(keeps) }

// Enter has this process, all of its threads, give up for good all capabilities, files and system
// calls that it does not need, and new privileges. An error tells which of these the kernel has
// refused to take; the rest is gone. It reports whether landlock holds the process, which depends
// on the kernel. Where it does not, the filter of system calls alone keeps files from the process.
func Enter(n Needs) (landlock bool, err error) {
	if err := threads(); err != nil {
		return false, errors.Join(err, forbidCalls(n))
	}
	keep := kept
	if !n.Host {
		keep = nil
	}
	var bounding error
	if n.Routers {
		keep = keeps
	}
	if !n.Children {
		// One call for each capability and thread takes 5 ms in all. Exec's keeper does without:
		// nothing comes from the set without new privileges.
		bounding = dropBounding(keep) // no others can be given
	}
	had, err := cap.GetPID(0)
	if err != nil {
		return false, errors.Join(fmt.Errorf("read capabilities: %w", err), forbidCalls(n))
	}
	var user, files error
	if !n.Host {
		user = takeOwnUser(n.Page)
	}
	capabilities, limits := dropCapabilities(had, keep, n.Routers && may(cap.SETPCAP)), limit(n)
	if !n.Files {
		landlock, files = closeFiles(n.Names)
	}
	return landlock, errors.Join(bounding, user, capabilities, limits, files, forbidCalls(n))
}

// Hide has the kernel give other processes of this one's user no access to its memory and
// descriptors, unless they may trace any process, and write no image of its memory.
func Hide() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("deny tracing: %w", err)
	}
	return nil
}

// DumpNoCore has the kernel write no image of this process's memory to a file, whatever its limits
// were. It is of use where [Hide] fails.
func DumpNoCore() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // a service manager may forbid that, having done it
}

// Permitted returns the capabilities that this process can give to one that it starts.
func Permitted() (all []uintptr) {
	had, err := cap.GetPID(0)
	if err != nil {
		return nil
	}
	for c := range cap.MaxBits() {
		if has, err := had.GetFlag(cap.Permitted, c); err == nil && has {
			all = append(all, uintptr(c))
		}
	}
	return all
}

// dropCapabilities keeps some of the capabilities that this process had before its user changed. To
// be given to programs whose bounding set is empty they have to be inheritable.
func dropCapabilities(had *cap.Set, keep []cap.Value, give bool) error {
	want := cap.NewSet()
	for _, c := range keep {
		for _, flag := range []cap.Flag{cap.Permitted, cap.Effective, cap.Inheritable} {
			of := flag
			if flag == cap.Inheritable {
				of = cap.Permitted
			}
			has, err := had.GetFlag(of, c)
			if err != nil { // unknown to this kernel
				continue
			}
			has = has && (give || flag != cap.Inheritable)
			if err := want.SetFlag(flag, has, c); err != nil {
				return fmt.Errorf("drop capabilities: %w", err)
			}
		}
	}
	now, err := cap.GetPID(0)
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if same, err := want.Cf(now); err == nil && same == 0 {
		return nil // a filter of the service manager may forbid capset(2)
	}
	err = want.SetProc() // the ambient set follows the inheritable one
	if errors.Is(err, unix.EPERM) && onlyInheritable(want) {
		return nil // it gives nothing to programs without new privileges
	}
	if err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// onlyInheritable reports whether this process, having given up its ambient capabilities, has all
// sets that are wanted but the inheritable one.
func onlyInheritable(want *cap.Set) bool {
	if err := prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL); err != nil {
		return false
	}
	now, err := cap.GetPID(0)
	if err != nil {
		return false
	}
	diff, err := want.Cf(now)
	return err == nil && !diff.Has(cap.Effective) && !diff.Has(cap.Permitted)
}

// dropBounding takes all but some capabilities from the bounding set, where this process may
// (CAP_SETPCAP).
func dropBounding(keep []cap.Value) error {
	had, err := cap.GetPID(0)
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if may, err := had.GetFlag(cap.Effective, cap.SETPCAP); err != nil || !may {
		return nil //nolint:nilerr // unknown to this kernel
	}
	var all []cap.Value
	for c := range cap.MaxBits() {
		if in, err := cap.GetBound(c); err == nil && in && !slices.Contains(keep, c) {
			all = append(all, c)
		}
	}
	if err := cap.DropBound(all...); err != nil {
		return fmt.Errorf("drop capabilities of programs to be executed: %w", err)
	}
	return nil
}

// forbidCalls has the kernel refuse all system calls but those of this process.
func forbidCalls(n Needs) error {
	filter, err := filter(os.Getpid(), n)
	if err != nil {
		return err
	}
	if err := seccomp.ApplyToProcess(filter); err != nil {
		_, noNewPrivs := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		return errors.Join(err, noNewPrivs)
	}
	return nil
}
