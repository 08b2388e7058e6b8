package e2e_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// aim is one of code that has taken a router over, with the system calls that may lead there.
type aim struct {
	name     string
	calls    []attempt
	landlock bool // without that the kernel lets it
}

// attempt is a system call that a router has no use for.
type attempt struct {
	name   string // as the threat model has it
	number uint64
	args   func(c *captive) []uint64
	want   unix.Errno // 0 = EPERM
}

// x32Getpid is getpid(2) of the architecture x32, which runs on the same processor.
const x32Getpid = 0x4000_0000 | unix.SYS_GETPID

// target is all that a router which is taken over is to attack.
type target struct {
	keeper, victim uint64 // victim is another process of this host
	log, journal   string // files of the keeper; a router of exec has no journal
	hidden         bool   // the processes, as by ProtectProc= of the unit
}

func with(args ...uint64) func(*captive) []uint64 { return func(*captive) []uint64 { return args } }

// aims are those of a router that is taken over, each of which a single system call would reach.
// configs/threat-model.md lists them.
func aims(t *testing.T, on target) []aim {
	path := func(path string, then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append([]uint64{c.write(t, 0, append([]byte(path), 0))}, then...) }
	}
	at := func(path string, flags ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 {
			return append([]uint64{0, c.write(t, 0, append([]byte(path), 0))}, flags...)
		}
	}
	of := func(pid uint64, file string) string { return fmt.Sprintf("/proc/%d/%s", pid, file) }
	pointer := func(before []uint64, value []byte, then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append(append(before, c.write(t, 0, value)), then...) }
	}
	page := func(then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append([]uint64{c.page, 4096}, then...) }
	}
	socket := func(family, kind, protocol uint64) func(*captive) []uint64 { return with(family, kind, protocol) }
	const (
		rwx     = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
		rw      = unix.PROT_READ | unix.PROT_WRITE
		own     = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
		shared  = unix.MAP_SHARED | unix.MAP_ANONYMOUS
		space   = 64 << 30 // bytes, of which none need be there
		noFile  = ^uint64(0)
		child   = uint64(unix.SIGCHLD)
		another = unix.EAFNOSUPPORT
		netlink = unix.EPROTONOSUPPORT
	)
	unseen := unix.EACCES
	if on.hidden {
		unseen = unix.ENOENT
	}
	limit := []byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0} // struct rlimit
	return []aim{
		{name: "connect past the tap, by a socket of its own", calls: []attempt{
			{"socket(AF_INET)", unix.SYS_SOCKET, socket(unix.AF_INET, unix.SOCK_STREAM, 0), another},
			{"socket(AF_INET6)", unix.SYS_SOCKET, socket(unix.AF_INET6, unix.SOCK_DGRAM, 0), another},
			{"socket(AF_SMC)", unix.SYS_SOCKET, socket(unix.AF_SMC, unix.SOCK_STREAM, 0), another},
			{"listen", unix.SYS_LISTEN, with(0, 1), 0},
		}},
		{name: "send by a raw or a packet socket of its own", calls: []attempt{
			{"socket(SOCK_RAW)", unix.SYS_SOCKET, socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), another},
			{"socket(AF_PACKET)", unix.SYS_SOCKET, socket(unix.AF_PACKET, unix.SOCK_RAW, 0), another},
			{"socket(AF_XDP)", unix.SYS_SOCKET, socket(unix.AF_XDP, unix.SOCK_RAW, 0), another},
		}},
		{name: "write IP headers itself, for sockets that it has from its keeper", calls: []attempt{
			{"setsockopt(IP_HDRINCL)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IP, unix.IP_HDRINCL), 0},
			{"setsockopt(IP_OPTIONS)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IP, unix.IP_OPTIONS), 0},
			{"setsockopt(IPV6_HDRINCL)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IPV6, 36), 0},
		}},
		{name: "have the kernel report groups, of addresses of its choosing", calls: []attempt{
			{"setsockopt(IP_ADD_MEMBERSHIP)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IP, unix.IP_ADD_MEMBERSHIP), 0},
			{"setsockopt(IP_ADD_SOURCE_MEMBERSHIP)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IP, unix.IP_ADD_SOURCE_MEMBERSHIP), 0},
			{"setsockopt(IPV6_JOIN_GROUP)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IPV6, unix.IPV6_JOIN_GROUP), 0},
			{"setsockopt(MCAST_JOIN_GROUP)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IPV6, 42), 0},
			{"setsockopt(MCAST_JOIN_SOURCE_GROUP)", unix.SYS_SETSOCKOPT, with(0, unix.SOL_IP, 46), 0},
		}},
		{name: "reach the hypervisor, by vsock", calls: []attempt{
			{"socket(AF_VSOCK)", unix.SYS_SOCKET, socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0), another},
		}},
		{name: "reach services of this host, by Unix sockets", calls: []attempt{
			{"socket(AF_UNIX)", unix.SYS_SOCKET, socket(unix.AF_UNIX, unix.SOCK_STREAM, 0), another},
			{"socketpair", unix.SYS_SOCKETPAIR, with(unix.AF_UNIX, unix.SOCK_STREAM, 0), 0},
		}},
		{name: "reach seldom used code of the kernel, by its sockets", calls: []attempt{
			{"socket(AF_ALG)", unix.SYS_SOCKET, socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), another},
			{"socket(AF_BLUETOOTH)", unix.SYS_SOCKET, socket(unix.AF_BLUETOOTH, unix.SOCK_RAW, 0), another},
			{"socket(AF_KEY)", unix.SYS_SOCKET, socket(unix.AF_KEY, unix.SOCK_RAW, 2), another},
			{"socket(AF_TIPC)", unix.SYS_SOCKET, socket(unix.AF_TIPC, unix.SOCK_STREAM, 0), another},
		}},
		{name: "change nftables, IPsec or audit, or speak for the kernel", calls: []attempt{
			{"socket(NETLINK_NETFILTER)", unix.SYS_SOCKET, socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), netlink},
			{"socket(NETLINK_XFRM)", unix.SYS_SOCKET, socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM), netlink},
			{"socket(NETLINK_AUDIT)", unix.SYS_SOCKET, socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT), netlink},
			{"socket(NETLINK_GENERIC)", unix.SYS_SOCKET, socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC), netlink},
			{"socket(NETLINK_KOBJECT_UEVENT)", unix.SYS_SOCKET, socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT), netlink},
		}},
		{name: "change links and routes, by ioctl; have the TUN outlast it", calls: []attempt{
			{"SIOCADDRT", unix.SYS_IOCTL, with(0, unix.SIOCADDRT), 0},
			{"SIOCSIFFLAGS", unix.SYS_IOCTL, with(0, unix.SIOCSIFFLAGS), 0},
			{"SIOCSIFADDR", unix.SYS_IOCTL, with(0, unix.SIOCSIFADDR), 0},
			{"TUNSETIFF", unix.SYS_IOCTL, with(0, unix.TUNSETIFF), 0},
			{"TUNSETPERSIST", unix.SYS_IOCTL, with(0, unix.TUNSETPERSIST, 1), 0},
		}},
		{name: "read files", calls: []attempt{
			{"open", unix.SYS_OPEN, path("/etc/passwd", unix.O_RDONLY), 0},
			{"openat", unix.SYS_OPENAT, at("/etc/passwd", unix.O_RDONLY), 0},
			{"openat(log)", unix.SYS_OPENAT, at(on.log, unix.O_RDONLY), 0},
			{"openat2", unix.SYS_OPENAT2, at("/etc/passwd", 0), unix.ENOSYS},
			{"name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, at("/etc/passwd"), 0},
			{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, with(0, 0, unix.O_RDONLY), 0},
			{"inotify_init1", unix.SYS_INOTIFY_INIT1, with(0), 0},
			{"fanotify_init", unix.SYS_FANOTIFY_INIT, with(0), 0},
		}},
		{name: "list directories", landlock: true, calls: []attempt{
			{"openat(/etc)", unix.SYS_OPENAT, at("/etc", unix.O_RDONLY|unix.O_DIRECTORY), unix.EACCES},
			{"openat(/proc)", unix.SYS_OPENAT, at("/proc", unix.O_RDONLY|unix.O_DIRECTORY), unix.EACCES},
		}},
		{name: "read /proc of others", calls: []attempt{
			{"openat(status)", unix.SYS_OPENAT, at(of(on.keeper, "status"), unix.O_RDONLY), 0},
			{"openat(environ)", unix.SYS_OPENAT, at(of(on.victim, "environ"), unix.O_RDONLY), 0},
			{"openat(maps)", unix.SYS_OPENAT, at(of(on.victim, "maps"), unix.O_RDONLY), 0},
		}},
		{name: "tell the program of another process", landlock: true, calls: []attempt{
			{"readlink(exe)", unix.SYS_READLINK, func(c *captive) []uint64 {
				return []uint64{c.write(t, 0, append([]byte(of(on.victim, "exe")), 0)), c.page + 2048, 2048}
			}, unseen},
		}},
		{name: "write, cut, rename or remove the log, or make a file", calls: []attempt{
			{"openat(O_APPEND)", unix.SYS_OPENAT, at(on.log, unix.O_WRONLY|unix.O_APPEND), 0},
			{"openat(O_TRUNC)", unix.SYS_OPENAT, at(on.log, unix.O_TRUNC), 0},
			{"open(O_CREAT)", unix.SYS_OPEN, path("/tmp/x", unix.O_CREAT), 0},
			{"creat", unix.SYS_CREAT, path("/tmp/x", 0), 0},
			{"pwrite64", unix.SYS_PWRITE64, with(2, 0, 0), 0},
			{"copy_file_range", unix.SYS_COPY_FILE_RANGE, with(0, 0, 2, 0, 1), 0},
			{"truncate", unix.SYS_TRUNCATE, path(on.log, 0), 0},
			{"ftruncate", unix.SYS_FTRUNCATE, with(2, 0), 0},
			{"fallocate", unix.SYS_FALLOCATE, with(2), 0},
			{"rename", unix.SYS_RENAME, path(on.log), 0},
			{"renameat2", unix.SYS_RENAMEAT2, at(on.log), 0},
			{"unlink", unix.SYS_UNLINK, path(on.log), 0},
			{"unlinkat", unix.SYS_UNLINKAT, at(on.log, 0), 0},
			{"linkat", unix.SYS_LINKAT, at(on.log), 0},
			{"symlinkat", unix.SYS_SYMLINKAT, path(on.log), 0},
			{"mkdirat", unix.SYS_MKDIRAT, at("/tmp/x"), 0},
			{"fchmodat", unix.SYS_FCHMODAT, at(on.log, 0o777), 0},
			{"fchownat", unix.SYS_FCHOWNAT, at(on.log), 0},
			{"utimensat", unix.SYS_UTIMENSAT, at(on.log), 0},
			{"setxattr", unix.SYS_SETXATTR, path(on.log), 0},
			{"memfd_create", unix.SYS_MEMFD_CREATE, path("x"), 0},
		}},
		{name: "write the journal of changes of the host", calls: []attempt{
			{"openat(O_WRONLY)", unix.SYS_OPENAT, at(on.journal, unix.O_WRONLY), 0},
			{"unlink(journal)", unix.SYS_UNLINK, path(on.journal), 0},
		}},
		{name: "execute a program", calls: []attempt{
			{"execve", unix.SYS_EXECVE, path("/bin/sh"), 0},
			{"execveat", unix.SYS_EXECVEAT, pointer([]uint64{0}, []byte("/bin/sh\x00")), 0},
			{"uselib", unix.SYS_USELIB, path("/bin/sh"), 0},
		}},
		{name: "have children, without end", calls: []attempt{
			{"fork", unix.SYS_FORK, with(), 0},
			{"vfork", unix.SYS_VFORK, with(), 0},
			{"clone", unix.SYS_CLONE, with(child), 0},
			{"clone(CLONE_VM)", unix.SYS_CLONE, with(unix.CLONE_VM | child), 0},
			{"clone3", unix.SYS_CLONE3, pointer(nil, make([]byte, 88), 88), unix.ENOSYS},
		}},
		{name: "enter a user namespace, or another one", calls: []attempt{
			{"clone(CLONE_NEWUSER)", unix.SYS_CLONE, with(unix.CLONE_NEWUSER | child), 0},
			{"unshare(CLONE_NEWUSER)", unix.SYS_UNSHARE, with(unix.CLONE_NEWUSER), 0},
			{"unshare(CLONE_NEWNS)", unix.SYS_UNSHARE, with(unix.CLONE_NEWNS), 0},
			{"setns", unix.SYS_SETNS, with(0, 0), 0},
		}},
		{name: "trace the keeper, or another process", calls: []attempt{
			{"ptrace(keeper)", unix.SYS_PTRACE, with(unix.PTRACE_ATTACH, on.keeper), 0},
			{"ptrace", unix.SYS_PTRACE, with(unix.PTRACE_ATTACH, on.victim), 0},
			{"PR_SET_PTRACER", unix.SYS_PRCTL, with(unix.PR_SET_PTRACER, noFile), 0},
			{"PR_SET_DUMPABLE", unix.SYS_PRCTL, with(unix.PR_SET_DUMPABLE, 1), 0},
			{"kcmp", unix.SYS_KCMP, with(on.keeper, on.victim), 0},
		}},
		{name: "read or write the memory of the keeper, or of another process", calls: []attempt{
			{"process_vm_readv(keeper)", unix.SYS_PROCESS_VM_READV, with(on.keeper), 0},
			{"process_vm_writev(keeper)", unix.SYS_PROCESS_VM_WRITEV, with(on.keeper), 0},
			{"process_vm_readv", unix.SYS_PROCESS_VM_READV, with(on.victim), 0},
			{"process_madvise", unix.SYS_PROCESS_MADVISE, with(0), 0},
			{"openat(mem)", unix.SYS_OPENAT, at(of(on.keeper, "mem"), unix.O_RDWR), 0},
			{"openat(self/mem)", unix.SYS_OPENAT, at("/proc/self/mem", unix.O_RDWR), 0},
		}},
		{name: "take descriptors of another process", calls: []attempt{
			{"pidfd_open(keeper)", unix.SYS_PIDFD_OPEN, with(on.keeper), 0},
			{"pidfd_open", unix.SYS_PIDFD_OPEN, with(on.victim), 0},
			{"pidfd_getfd", unix.SYS_PIDFD_GETFD, with(0, 0), 0},
		}},
		{name: "signal the keeper, or another process", calls: []attempt{
			{"kill(keeper)", unix.SYS_KILL, with(on.keeper, uint64(unix.SIGKILL)), 0},
			{"kill", unix.SYS_KILL, with(on.victim, uint64(unix.SIGKILL)), 0},
			{"kill(-1)", unix.SYS_KILL, with(^uint64(0), 0), 0},
			{"tkill", unix.SYS_TKILL, with(on.keeper, uint64(unix.SIGKILL)), 0},
			{"tgkill", unix.SYS_TGKILL, with(on.keeper, on.keeper, uint64(unix.SIGKILL)), 0},
			{"rt_sigqueueinfo", unix.SYS_RT_SIGQUEUEINFO, with(on.victim, 0, 0), 0},
			{"rt_tgsigqueueinfo", unix.SYS_RT_TGSIGQUEUEINFO, with(on.keeper, on.keeper), 0},
			{"pidfd_send_signal", unix.SYS_PIDFD_SEND_SIGNAL, with(0, uint64(unix.SIGKILL)), 0},
			{"F_SETOWN", unix.SYS_FCNTL, with(0, unix.F_SETOWN, on.keeper), 0},
			{"F_SETOWN_EX", unix.SYS_FCNTL, with(0, unix.F_SETOWN_EX), 0},
			{"F_SETSIG", unix.SYS_FCNTL, with(0, unix.F_SETSIG, uint64(unix.SIGKILL)), 0},
		}},
		{name: "type into the terminal", calls: []attempt{
			{"TIOCSTI", unix.SYS_IOCTL, with(0, unix.TIOCSTI), 0},
			{"TIOCLINUX", unix.SYS_IOCTL, with(0, unix.TIOCLINUX), 0},
		}},
		{name: "mount, or change its root", calls: []attempt{
			{"mount", unix.SYS_MOUNT, path("tmpfs"), 0},
			{"umount2", unix.SYS_UMOUNT2, path("/proc"), 0},
			{"open_tree", unix.SYS_OPEN_TREE, at("/", 1), 0},
			{"move_mount", unix.SYS_MOVE_MOUNT, with(), 0},
			{"mount_setattr", unix.SYS_MOUNT_SETATTR, with(), 0},
			{"fsopen", unix.SYS_FSOPEN, path("tmpfs"), 0},
			{"pivot_root", unix.SYS_PIVOT_ROOT, path("/"), 0},
			{"chroot", unix.SYS_CHROOT, path("/"), 0},
		}},
		{name: "make devices, load modules, change the machine", calls: []attempt{
			{"mknodat", unix.SYS_MKNODAT, with(), 0},
			{"init_module", unix.SYS_INIT_MODULE, with(), 0},
			{"finit_module", unix.SYS_FINIT_MODULE, with(), 0},
			{"delete_module", unix.SYS_DELETE_MODULE, path("x"), 0},
			{"kexec_load", unix.SYS_KEXEC_LOAD, with(), 0},
			{"reboot", unix.SYS_REBOOT, with(), 0},
			{"swapon", unix.SYS_SWAPON, path("x"), 0},
			{"acct", unix.SYS_ACCT, with(), 0},
			{"iopl", unix.SYS_IOPL, with(3), 0},
			{"clock_settime", unix.SYS_CLOCK_SETTIME, with(unix.CLOCK_MONOTONIC), 0},
			{"adjtimex", unix.SYS_ADJTIMEX, pointer(nil, make([]byte, 208)), 0},
			{"sethostname", unix.SYS_SETHOSTNAME, path("x", 0), 0},
			{"syslog", unix.SYS_SYSLOG, with(10), 0},
		}},
		{name: "use bpf", calls: []attempt{
			{"bpf", unix.SYS_BPF, with(), 0},
		}},
		{name: "use io_uring, or asynchronous input", calls: []attempt{
			{"io_uring_setup", unix.SYS_IO_URING_SETUP, pointer([]uint64{1}, make([]byte, 120)), 0},
			{"io_uring_enter", unix.SYS_IO_URING_ENTER, with(), 0},
			{"io_uring_register", unix.SYS_IO_URING_REGISTER, with(), 0},
			{"io_setup", unix.SYS_IO_SETUP, pointer([]uint64{1}, make([]byte, 8)), 0},
		}},
		{name: "use performance events", calls: []attempt{
			{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, with(), 0},
		}},
		{name: "use userfaultfd", calls: []attempt{
			{"userfaultfd", unix.SYS_USERFAULTFD, with(1), 0},
		}},
		{name: "use keyrings", calls: []attempt{
			{"add_key", unix.SYS_ADD_KEY, path("user"), 0},
			{"request_key", unix.SYS_REQUEST_KEY, path("user"), 0},
			{"keyctl", unix.SYS_KEYCTL, with(0), 0},
		}},
		{name: "use objects of System V and POSIX", calls: []attempt{
			{"shmget", unix.SYS_SHMGET, with(unix.IPC_PRIVATE, 4096, 0o600), 0},
			{"shmat", unix.SYS_SHMAT, with(0), 0},
			{"msgget", unix.SYS_MSGGET, with(unix.IPC_PRIVATE, 0o600), 0},
			{"semget", unix.SYS_SEMGET, with(unix.IPC_PRIVATE, 1, 0o600), 0},
			{"mq_open", unix.SYS_MQ_OPEN, path("x", unix.O_CREAT|unix.O_RDWR, 0o600), 0},
		}},
		{name: "execute memory that it has written", calls: []attempt{
			{"mmap(PROT_EXEC)", unix.SYS_MMAP, with(0, 4096, rwx, own, noFile), 0},
			{"mprotect(PROT_EXEC)", unix.SYS_MPROTECT, page(rwx), 0},
			{"pkey_mprotect", unix.SYS_PKEY_MPROTECT, page(rwx, noFile), 0},
			{"remap_file_pages", unix.SYS_REMAP_FILE_PAGES, page(), 0},
			{"personality", unix.SYS_PERSONALITY, with(0xffffffff), 0},
			{"modify_ldt", unix.SYS_MODIFY_LDT, with(), 0},
		}},
		{name: "exhaust memory", calls: []attempt{
			{"mmap(64 GiB)", unix.SYS_MMAP, with(0, space, rw, own|unix.MAP_NORESERVE, noFile), unix.ENOMEM},
			{"mmap(MAP_SHARED)", unix.SYS_MMAP, with(0, 4096, rw, shared, noFile), 0},
			{"memfd_secret", unix.SYS_MEMFD_SECRET, with(0), 0},
			{"mlock", unix.SYS_MLOCK, page(), 0},
		}},
		{name: "raise its limits, or go before others", calls: []attempt{
			{"prlimit64", unix.SYS_PRLIMIT64, pointer([]uint64{0, unix.RLIMIT_NOFILE}, limit), 0},
			{"prlimit64(keeper)", unix.SYS_PRLIMIT64, pointer([]uint64{on.keeper, unix.RLIMIT_NOFILE}, limit), 0},
			{"setrlimit", unix.SYS_SETRLIMIT, pointer([]uint64{unix.RLIMIT_DATA}, limit), 0},
			{"setpriority", unix.SYS_SETPRIORITY, with(0, 0, ^uint64(19)), 0},
			{"sched_setscheduler", unix.SYS_SCHED_SETSCHEDULER, pointer([]uint64{0, 1}, []byte{1, 0, 0, 0}), 0},
			{"sched_setaffinity", unix.SYS_SCHED_SETAFFINITY, pointer([]uint64{on.victim, 1}, []byte{1}), 0},
			{"ioprio_set", unix.SYS_IOPRIO_SET, with(1, 0, 0), 0},
		}},
		{name: "become another user, or get a capability back", calls: []attempt{
			{"setuid", unix.SYS_SETUID, with(0), 0},
			{"setresuid", unix.SYS_SETRESUID, with(0, 0, 0), 0},
			{"setresgid", unix.SYS_SETRESGID, with(0, 0, 0), 0},
			{"setgroups", unix.SYS_SETGROUPS, with(0), 0},
			{"setfsuid", unix.SYS_SETFSUID, with(0), 0},
			{"capset", unix.SYS_CAPSET, with(), 0},
			{"PR_CAP_AMBIENT", unix.SYS_PRCTL, with(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_ADMIN), 0},
		}},
		{name: "loosen the filter", calls: []attempt{
			{"seccomp", unix.SYS_SECCOMP, with(), 0},
			{"PR_SET_SECCOMP", unix.SYS_PRCTL, with(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER), 0},
			{"landlock_create_ruleset", unix.SYS_LANDLOCK_CREATE_RULESET, with(), 0},
			{"x32's getpid", x32Getpid, with(), 0},
		}},
	}
}

// row returns what the threat model has of it: the calls that fail with EPERM, and then the others
// behind their error.
func (a *aim) row() string {
	var failures []unix.Errno
	names := make(map[unix.Errno][]string)
	for _, call := range a.calls {
		if !slices.Contains(failures, call.want) {
			failures = append(failures, call.want)
		}
		names[call.want] = append(names[call.want], call.name)
	}
	slices.SortStableFunc(failures, func(a, b unix.Errno) int { return cmp.Compare(min(a, 1), min(b, 1)) })
	var parts []string
	for _, failure := range failures {
		text := strings.Join(names[failure], ", ")
		if failure != 0 {
			text = unix.ErrnoName(failure) + ": " + text
		}
		parts = append(parts, text)
	}
	if a.landlock {
		parts = append(parts, "by landlock")
	}
	return "| " + a.name + " | " + strings.Join(parts, "; ") + " |"
}
