//go:build linux && (amd64 || arm64)

package isolate

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/seccomp"
)

// filter returns the filter of a process whose number is pid. Calls that no argument decides
// about cost no run of the filter since Linux 5.11, which keeps a table of them; for older kernels
// the frequent ones come first.
func filter(pid int, n Needs) ([]bpf.RawInstruction, error) {
	if n.Page {
		return assemble(ofPage(uint32(pid)))
	}
	program := always(seccomp.Pass, frequent)
	program = append(program, seccomp.Rules(judged(uint32(pid), n)...)...)
	program = append(program, always(seccomp.Pass, runtime, others, legacy)...)
	if n.Sockets {
		program = append(program, always(seccomp.Pass, ofListeners)...)
	}
	if n.Files {
		program = append(program, always(seccomp.Pass, ofWriters, ofWritersHere)...)
	}
	if n.Children || n.Routers {
		program = append(program, always(seccomp.Pass, ofParents)...)
	}
	if n.Routers {
		program = append(program, always(seccomp.Pass, ofStarts, ofStartsHere)...)
	}
	return assemble(program)
}

// assemble returns the filter of a program that judges calls by their number. Calls on which it
// says nothing are refused.
func assemble(program []bpf.Instruction) ([]bpf.RawInstruction, error) {
	begin := []bpf.Instruction{
		seccomp.LoadArch,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		seccomp.Fail(unix.ENOSYS),
		seccomp.LoadNumber,
	}
	missing := always(seccomp.Fail(unix.ENOSYS), probed)
	raw, err := bpf.Assemble(append(slices.Concat(begin, program, missing), seccomp.Fail(unix.EPERM)))
	if err != nil {
		return nil, fmt.Errorf("assemble system call filter: %w", err)
	}
	return raw, nil
}

// always gives all calls of some numbers the same verdict.
func always(verdict bpf.Instruction, lists ...[]uint32) (program []bpf.Instruction) {
	for _, numbers := range lists {
		for _, n := range numbers {
			program = append(program, seccomp.Rules(seccomp.Rule{Number: n, Check: []bpf.Instruction{verdict}})...)
		}
	}
	return program
}

// judged are the calls that a process may make with some arguments only.
func judged(pid uint32, n Needs) []seccomp.Rule {
	ioctls := requests
	if n.Host {
		ioctls = slices.Concat(requests, ofLinks)
	}
	rules := []seccomp.Rule{
		{Number: unix.SYS_SOCKET, Check: sockets(n)},
		{Number: unix.SYS_IOCTL, Check: seccomp.OnlyOneOf(1, unix.EPERM, ioctls...)},
		{Number: unix.SYS_SETSOCKOPT, Check: options},
		ofDescriptors,
	}
	if !n.Files { // directories alone, to be read
		rules = append(rules, seccomp.Rule{
			Number: unix.SYS_OPENAT, Check: seccomp.OnlyBits(2, unix.EPERM, toWrite|unix.O_DIRECTORY, unix.O_DIRECTORY),
		})
	}
	if n.Routers {
		forbidden := uint32(newNamespace)
		if n.Children {
			forbidden &^= ofApart
		}
		if n.Alone {
			forbidden &^= unix.CLONE_NEWUSER
		}
		return append(rules, seccomp.Rule{
			Number: unix.SYS_CLONE, Check: seccomp.OnlyBits(0, unix.EPERM, forbidden, 0),
		})
	}
	rules = append(rules, ofRuntime(pid)...)
	if !n.Children {
		rules = append(rules, toItself(pid))
	}
	return rules
}

// options judges setsockopt(2): a process does not write IP headers itself, which with a raw socket
// could be those of any protocol. It joins no group, of which the kernel would send reports that
// have no socket.
var options = seccomp.If(1, unix.SOL_IP, seccomp.UnlessOneOf(2, unix.EPERM, unix.IP_HDRINCL, unix.IP_OPTIONS,
	unix.IP_ADD_MEMBERSHIP, unix.IP_ADD_SOURCE_MEMBERSHIP, joinGroup, joinSourceGroup),
	seccomp.If(1, unix.SOL_IPV6, seccomp.UnlessOneOf(2, unix.EPERM, ipv6HeaderIncluded,
		unix.IPV6_JOIN_GROUP, unix.IPV6_JOIN_ANYCAST, joinGroup, joinSourceGroup), []bpf.Instruction{seccomp.Pass}))

const (
	ipv6HeaderIncluded = 36 // IPV6_HDRINCL of linux/in6.h
	joinGroup          = 42 // MCAST_JOIN_GROUP of linux/in.h
	joinSourceGroup    = 46 // MCAST_JOIN_SOURCE_GROUP
)

// ofDescriptors judges fcntl(2): a descriptor that is ready could send any signal to a process of
// the same user.
var ofDescriptors = seccomp.Rule{
	Number: unix.SYS_FCNTL, Check: seccomp.UnlessOneOf(1, unix.EPERM, unix.F_SETOWN, unix.F_SETOWN_EX, unix.F_SETSIG),
}

// ofRuntime are calls of Go's runtime.
func ofRuntime(pid uint32) []seccomp.Rule {
	return []seccomp.Rule{
		// It interrupts its threads.
		{Number: unix.SYS_TGKILL, Check: seccomp.OnlyOneOf(0, unix.EPERM, pid)},
		// Threads, and neither processes nor namespaces.
		{Number: unix.SYS_CLONE, Check: seccomp.OnlyBits(0, unix.EPERM, thread|newNamespace, thread)},
		// Memory that is shared is not counted by RLIMIT_DATA.
		{Number: unix.SYS_MMAP, Check: seccomp.Both(seccomp.OnlyBits(2, unix.EPERM, unix.PROT_EXEC, 0),
			seccomp.OnlyBits(3, unix.EPERM, unix.MAP_TYPE, unix.MAP_PRIVATE))},
		{Number: unix.SYS_MPROTECT, Check: seccomp.OnlyBits(2, unix.EPERM, unix.PROT_EXEC, 0)},
		{Number: unix.SYS_PRCTL, Check: seccomp.OnlyOneOf(0, unix.EPERM, unix.PR_SET_VMA)},
		{Number: unix.SYS_PRLIMIT64, Check: seccomp.OnlyNull(2, unix.EPERM)}, // reads
	}
}

// toItself lets a process send itself signals.
func toItself(pid uint32) seccomp.Rule {
	return seccomp.Rule{Number: unix.SYS_KILL, Check: seccomp.OnlyOneOf(0, unix.EPERM, pid)}
}

// ofPage returns the program of a process that serves a page: it accepts connections, reads, writes
// and closes them. It opens no file and makes no socket. It sets no options of sockets but
// TCP_NODELAY and those of keepalives: the listener is not its own.
func ofPage(pid uint32) []bpf.Instruction {
	options := seccomp.If(1, unix.IPPROTO_TCP,
		seccomp.OnlyOneOf(2, unix.EPERM, unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT),
		seccomp.If(1, unix.SOL_SOCKET, seccomp.OnlyOneOf(2, unix.EPERM, unix.SO_KEEPALIVE),
			[]bpf.Instruction{seccomp.Fail(unix.EPERM)}))
	rules := append(ofRuntime(pid), toItself(pid), ofDescriptors, seccomp.Rule{Number: unix.SYS_SETSOCKOPT, Check: options})
	return slices.Concat(always(seccomp.Pass, ofRequests), seccomp.Rules(rules...), always(seccomp.Pass, runtime, ofRequestsHere))
}

// sockets judges socket(2) by family and, where the host's firewall is not to be changed, netlink
// by its protocol. By the others, changes take CAP_NET_ADMIN.
func sockets(n Needs) []bpf.Instruction {
	var families []uint32
	if n.Sockets {
		families = []uint32{unix.AF_INET, unix.AF_INET6, unix.AF_UNIX}
	}
	if n.Host {
		return seccomp.OnlyOneOf(0, unix.EAFNOSUPPORT, append(families, unix.AF_NETLINK)...)
	}
	netlink := seccomp.OnlyOneOf(2, unix.EPROTONOSUPPORT, unix.NETLINK_ROUTE, unix.NETLINK_SOCK_DIAG)
	return seccomp.If(0, unix.AF_NETLINK, netlink, seccomp.OnlyOneOf(0, unix.EAFNOSUPPORT, families...))
}

const (
	thread       = unix.CLONE_VM | unix.CLONE_THREAD
	newNamespace = unix.CLONE_NEWCGROUP | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
		unix.CLONE_NEWPID | unix.CLONE_NEWUSER | unix.CLONE_NEWUTS
	ofApart = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWIPC // of the routers of exec
)

// requests are those of ioctl(2).
var requests = []uint32{
	// Of sockets and links.
	unix.SIOCOUTQ, unix.TIOCINQ, unix.SIOCGIFINDEX, unix.SIOCGIFMTU,
	// Of the terminal.
	unix.TCGETS, unix.TCSETS, unix.TIOCGPGRP, unix.TIOCSPGRP, unix.TIOCGWINSZ,
}

// ofLinks are those of the TUN and the guard, which may have to be made again.
var ofLinks = []uint32{
	unix.SIOCSIFMTU,
	unix.TUNSETIFF, unix.TUNGETIFF, unix.TUNSETOFFLOAD, unix.TUNSETOWNER, unix.TUNSETGROUP, unix.TUNSETPERSIST,
}

// frequent are calls for each packet, each connection or each wait.
var frequent = []uint32{
	unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_READ, unix.SYS_WRITE, unix.SYS_EPOLL_PWAIT,
	unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG, unix.SYS_SENDTO, unix.SYS_RECVFROM,
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOSE, unix.SYS_EPOLL_CTL, unix.SYS_CONNECT,
	unix.SYS_GETSOCKOPT, unix.SYS_GETSOCKNAME, unix.SYS_BIND, unix.SYS_SHUTDOWN,
	unix.SYS_READLINKAT,
}

// ofRequests are the calls of a process that serves a page.
var ofRequests = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_WRITEV, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CTL, unix.SYS_ACCEPT4, unix.SYS_CLOSE,
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT,
	unix.SYS_PREAD64, unix.SYS_LSEEK, unix.SYS_GETPPID,
}

// runtime are calls of Go's runtime, and of glibc's threads where it is linked.
var runtime = []uint32{
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETTID, unix.SYS_GETPID,
	unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_MREMAP, unix.SYS_BRK,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY, unix.SYS_GETRANDOM,
	unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_MEMBARRIER, unix.SYS_SET_TID_ADDRESS,
	unix.SYS_SETITIMER, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE,
}

// others are the rest that a router may always make.
var others = []uint32{
	unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL, unix.SYS_PSELECT6,
	// Who it is, and where.
	unix.SYS_GETPPID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETGROUPS,
	unix.SYS_GETPGID, unix.SYS_GETSID, unix.SYS_CAPGET, unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_GETRUSAGE, unix.SYS_GETCWD,
	unix.SYS_GETRLIMIT,
	// Files that are read: /proc, /etc.
	unix.SYS_FSTAT, unix.SYS_STATX, unix.SYS_STATFS, unix.SYS_FSTATFS, unix.SYS_LSEEK, unix.SYS_PREAD64,
	unix.SYS_FLOCK, unix.SYS_FACCESSAT, unix.SYS_FACCESSAT2,
	unix.SYS_GETDENTS64, unix.SYS_DUP, unix.SYS_DUP3,
	unix.SYS_SENDFILE, unix.SYS_SPLICE,
	// Sockets.
	unix.SYS_ACCEPT4, unix.SYS_GETPEERNAME,
}

// ofListeners are calls by which a process has others connect to it.
var ofListeners = []uint32{unix.SYS_LISTEN}

// ofWriters are calls about files that are written: logs, journals, positions.
var ofWriters = []uint32{
	unix.SYS_OPENAT, unix.SYS_PWRITE64, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE,
	unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT,
	unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT, unix.SYS_COPY_FILE_RANGE,
	unix.SYS_INOTIFY_INIT1, unix.SYS_INOTIFY_ADD_WATCH, unix.SYS_INOTIFY_RM_WATCH,
}

// toWrite are the flags of open(2) with which a file is made or may be changed.
const toWrite = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC | unix.O_APPEND

// ofParents are calls about processes that this one has started.
var ofParents = []uint32{
	unix.SYS_KILL, unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_PIDFD_SEND_SIGNAL,
}

// ofStarts are calls by which a process starts a router, and the router itself begins: it inherits
// the filter, and adds its own.
var ofStarts = []uint32{
	unix.SYS_EXECVE, unix.SYS_TGKILL, unix.SYS_TKILL, unix.SYS_MMAP, unix.SYS_MPROTECT, unix.SYS_PRCTL, unix.SYS_PRLIMIT64,
	unix.SYS_SETRLIMIT, unix.SYS_CAPSET, unix.SYS_SETGROUPS, unix.SYS_SETRESGID, unix.SYS_SETRESUID,
	unix.SYS_MEMFD_CREATE, unix.SYS_SECCOMP, unix.SYS_PIDFD_OPEN, unix.SYS_SOCKETPAIR, unix.SYS_SETPGID,
	unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF,
}

// probed are calls instead of which programs make others where a kernel lacks them.
var probed = []uint32{unix.SYS_CLONE3, unix.SYS_FCHMODAT2, unix.SYS_OPENAT2}
