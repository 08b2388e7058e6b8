//go:build linux && (amd64 || arm64)

package isolate

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The flags of memory.
const (
	own    = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	shared = unix.MAP_SHARED | unix.MAP_ANONYMOUS
)

// TestRouterFilter asks the filter about calls with arguments; e2e has a router make the others.
func TestRouterFilter(t *testing.T) {
	t.Parallel()
	const (
		pid     = 4711
		threads = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	)
	for _, tt := range []struct {
		name     string
		children bool
		number   uint32
		args     [6]uint64
		want     unix.Errno // 0 = passes
	}{
		{"read", false, unix.SYS_READ, [6]uint64{}, 0},
		{"a socket of its own", false, unix.SYS_SOCKET, [6]uint64{unix.AF_INET6, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{"a raw socket", false, unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_RAW, 1}, unix.EAFNOSUPPORT},
		{"a Unix socket", false, unix.SYS_SOCKET, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}, unix.EAFNOSUPPORT},
		{"a socket of exec", true, unix.SYS_SOCKET, [6]uint64{unix.AF_INET6, unix.SOCK_STREAM}, 0},
		{"listen", false, unix.SYS_LISTEN, [6]uint64{}, unix.EPERM},
		{"listen in exec", true, unix.SYS_LISTEN, [6]uint64{}, 0},
		{"routes", false, unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, 0},
		{"sockets", false, unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG}, 0},
		{"nftables", false, unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, unix.EPROTONOSUPPORT},
		{"nftables of exec", true, unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, 0},
		{"IPsec", false, unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM}, unix.EPROTONOSUPPORT},
		{"vsock", false, unix.SYS_SOCKET, [6]uint64{unix.AF_VSOCK}, unix.EAFNOSUPPORT},
		{"a thread", false, unix.SYS_CLONE, [6]uint64{threads}, 0},
		{"a process", false, unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, unix.EPERM},
		{"a process for threads", true, unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK}, unix.EPERM},
		{"a thread in a namespace", false, unix.SYS_CLONE, [6]uint64{threads | unix.CLONE_NEWNET}, unix.EPERM},
		{"memory", false, unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE, own}, 0},
		{"memory that is shared", false, unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE, shared}, unix.EPERM},
		{"memory to execute", false, unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC, own}, unix.EPERM},
		{"execute memory", false, unix.SYS_MPROTECT, [6]uint64{0, 4096, unix.PROT_EXEC}, unix.EPERM},
		{"interrupt a thread", false, unix.SYS_TGKILL, [6]uint64{pid, 4712, 23}, 0},
		{"signal another process's thread", true, unix.SYS_TGKILL, [6]uint64{1, 1, 23}, unix.EPERM},
		{"signal itself", false, unix.SYS_KILL, [6]uint64{pid, 6}, 0},
		{"signal another process", false, unix.SYS_KILL, [6]uint64{1, 6}, unix.EPERM},
		{"signal a child", true, unix.SYS_KILL, [6]uint64{4712, 18}, 0},
		{"wait for a child", true, unix.SYS_WAIT4, [6]uint64{}, 0},
		{"wait without children", false, unix.SYS_WAIT4, [6]uint64{}, unix.EPERM},
		{"read a limit", false, unix.SYS_PRLIMIT64, [6]uint64{0, 7, 0, 1 << 40}, 0},
		{"set a limit", false, unix.SYS_PRLIMIT64, [6]uint64{0, 7, 1 << 40, 0}, unix.EPERM},
		{"when a file was made", false, unix.SYS_STATX, [6]uint64{}, 0}, // max_age of a log is from then
		{"name memory", false, unix.SYS_PRCTL, [6]uint64{unix.PR_SET_VMA}, 0},
		{"become debuggable", false, unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}, unix.EPERM},
		{"make a TUN", false, unix.SYS_IOCTL, [6]uint64{3, unix.TUNSETIFF}, unix.EPERM},
		{"make a TUN in exec", true, unix.SYS_IOCTL, [6]uint64{3, unix.TUNSETIFF}, 0},
		{"change a link", false, unix.SYS_IOCTL, [6]uint64{3, unix.SIOCSIFMTU}, unix.EPERM},
		{"type into a terminal", true, unix.SYS_IOCTL, [6]uint64{3, unix.TIOCSTI}, unix.EPERM},
		{"read a directory", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDONLY | unix.O_CLOEXEC | unix.O_DIRECTORY}, 0},
		{"read a file", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDONLY | unix.O_CLOEXEC}, unix.EPERM},
		{"make a file without a name", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_TMPFILE | unix.O_RDWR}, unix.EPERM},
		{"read a file in exec", true, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDONLY}, 0},
		{"watch files", false, unix.SYS_INOTIFY_INIT1, [6]uint64{}, unix.EPERM},
		{"flags of a descriptor", false, unix.SYS_FCNTL, [6]uint64{3, unix.F_SETFL, unix.O_NONBLOCK}, 0},
		{"have a descriptor signal another process", true, unix.SYS_FCNTL, [6]uint64{3, unix.F_SETOWN, 1}, unix.EPERM},
		{"choose the signal", true, unix.SYS_FCNTL, [6]uint64{3, unix.F_SETSIG, 9}, unix.EPERM},
		{"write a file", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_WRONLY | unix.O_CLOEXEC}, unix.EPERM},
		{"write and read a file", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_RDWR}, unix.EPERM},
		{"make a file", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_CREAT}, unix.EPERM},
		{"truncate a file", false, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_TRUNC}, unix.EPERM},
		{"remove a file", false, unix.SYS_UNLINKAT, [6]uint64{}, unix.EPERM},
		{"rename a file", false, unix.SYS_RENAMEAT, [6]uint64{}, unix.EPERM},
		{"cut a file", false, unix.SYS_FTRUNCATE, [6]uint64{}, unix.EPERM},
		{"write the log of exec", true, unix.SYS_OPENAT, [6]uint64{0, 0, unix.O_WRONLY | unix.O_CREAT | unix.O_APPEND}, 0},
		{"clone3", true, unix.SYS_CLONE3, [6]uint64{}, unix.ENOSYS},
		{"execve", true, unix.SYS_EXECVE, [6]uint64{}, unix.EPERM},
	} {
		needs := Needs{Children: tt.children, Host: tt.children, Files: tt.children, Sockets: tt.children}
		if got := verdict(t, needs, auditArch, tt.number, tt.args); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := verdict(t, Needs{}, unix.AUDIT_ARCH_I386, 3, [6]uint64{}); got != unix.ENOSYS {
		t.Errorf("a call of another architecture: %v, want %v", got, unix.ENOSYS)
	}
}

// TestKeeperFilter asks the filter about calls by which a keeper starts a router, and about those
// that neither makes.
func TestKeeperFilter(t *testing.T) {
	t.Parallel()
	needs := Needs{Host: true, Files: true, Routers: true, Sockets: true}
	for _, tt := range []struct {
		name   string
		number uint32
		args   [6]uint64
		want   unix.Errno // 0 = passes
	}{
		{"execve", unix.SYS_EXECVE, [6]uint64{}, 0},
		{"a process", unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_PIDFD}, 0},
		{"a process in a namespace", unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWUSER}, unix.EPERM},
		{"a thread of the router", unix.SYS_TGKILL, [6]uint64{4712, 4713, 23}, 0},
		{"a thread of a router beside C", unix.SYS_TKILL, [6]uint64{4713, 33}, 0},
		{"end a router", unix.SYS_KILL, [6]uint64{4712, 9}, 0},
		{"memory of a linked router", unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC}, 0},
		{"a router's filter", unix.SYS_SECCOMP, [6]uint64{}, 0},
		{"a router's landlock", unix.SYS_LANDLOCK_RESTRICT_SELF, [6]uint64{}, 0},
		{"nftables", unix.SYS_SOCKET, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, 0},
		{"make a TUN", unix.SYS_IOCTL, [6]uint64{3, unix.TUNSETIFF}, 0},
		{"a filter for a router's socket", unix.SYS_SETSOCKOPT, [6]uint64{5, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, 0},
		{"a packet socket", unix.SYS_SOCKET, [6]uint64{unix.AF_PACKET}, unix.EAFNOSUPPORT},
		{"trace", unix.SYS_PTRACE, [6]uint64{}, unix.EPERM},
		{"mount", unix.SYS_MOUNT, [6]uint64{}, unix.EPERM},
		{"become another user", unix.SYS_SETUID, [6]uint64{}, unix.EPERM},
	} {
		if got := verdict(t, needs, auditArch, tt.number, tt.args); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestNamespacesOfKeeper asks the filter which namespaces a keeper may make for its routers.
func TestNamespacesOfKeeper(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		needs Needs
		made  uint64 // flags of clone(2)
	}{
		"run":                     {Needs{Routers: true}, 0},
		"run without CAP_SETPCAP": {Needs{Routers: true, Alone: true}, unix.CLONE_NEWUSER},
		"exec":                    {Needs{Routers: true, Children: true}, ofApart},
	} {
		for _, kind := range []uint64{
			unix.CLONE_NEWUSER, unix.CLONE_NEWNET, unix.CLONE_NEWIPC, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWUTS, unix.CLONE_NEWCGROUP,
		} {
			want := unix.EPERM
			if tt.made&kind != 0 {
				want = 0
			}
			if got := verdict(t, tt.needs, auditArch, unix.SYS_CLONE, [6]uint64{kind}); got != want {
				t.Errorf("%s: namespace %#x: %v, want %v", name, kind, got, want)
			}
		}
	}
}

// TestPageFilter asks the filter of a process that serves a page.
func TestPageFilter(t *testing.T) {
	t.Parallel()
	const pid = 4711
	for _, tt := range []struct {
		name   string
		number uint32
		args   [6]uint64
		want   unix.Errno // 0 = passes
	}{
		{"accept", unix.SYS_ACCEPT4, [6]uint64{}, 0},
		{"read", unix.SYS_READ, [6]uint64{}, 0},
		{"write", unix.SYS_WRITE, [6]uint64{}, 0},
		{"the user of a peer", unix.SYS_GETSOCKOPT, [6]uint64{}, 0},
		{"keep a connection alive", unix.SYS_SETSOCKOPT, [6]uint64{9, unix.SOL_SOCKET, unix.SO_KEEPALIVE}, 0},
		{"the time between two looks", unix.SYS_SETSOCKOPT, [6]uint64{9, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, 0},
		{"a filter of packets", unix.SYS_SETSOCKOPT, [6]uint64{4, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, unix.EPERM},
		{"a TCP option", unix.SYS_SETSOCKOPT, [6]uint64{4, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT}, unix.EPERM},
		{"an IP option", unix.SYS_SETSOCKOPT, [6]uint64{4, unix.IPPROTO_IP, unix.IP_OPTIONS}, unix.EPERM},
		{"a thread", unix.SYS_CLONE, [6]uint64{thread}, 0},
		{"a process", unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, unix.EPERM},
		{"interrupt a thread", unix.SYS_TGKILL, [6]uint64{pid, 4712, 23}, 0},
		{"signal another process", unix.SYS_KILL, [6]uint64{1, 6}, unix.EPERM},
		{"memory", unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_WRITE, own}, 0},
		{"memory to execute", unix.SYS_MMAP, [6]uint64{0, 4096, unix.PROT_READ | unix.PROT_EXEC, own}, unix.EPERM},
		{"open a file", unix.SYS_OPENAT, [6]uint64{}, unix.EPERM},
		{"a socket", unix.SYS_SOCKET, [6]uint64{unix.AF_INET}, unix.EPERM},
		{"connect", unix.SYS_CONNECT, [6]uint64{}, unix.EPERM},
		{"end the listener", unix.SYS_SHUTDOWN, [6]uint64{4}, unix.EPERM},
		{"take a descriptor", unix.SYS_RECVMSG, [6]uint64{}, unix.EPERM},
		{"execve", unix.SYS_EXECVE, [6]uint64{}, unix.EPERM},
		{"openat2", unix.SYS_OPENAT2, [6]uint64{}, unix.ENOSYS},
	} {
		if got := verdict(t, Needs{Page: true}, auditArch, tt.number, tt.args); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := verdict(t, Needs{Page: true}, unix.AUDIT_ARCH_I386, 3, [6]uint64{}); got != unix.ENOSYS {
		t.Errorf("a call of another architecture: %v, want %v", got, unix.ENOSYS)
	}
}

// verdict runs the filter, and returns 0 for a call that passes.
func verdict(t *testing.T, needs Needs, arch, number uint32, args [6]uint64) unix.Errno {
	t.Helper()
	const pid = 4711
	raw, err := filter(pid, needs)
	if err != nil {
		t.Fatal(err)
	}
	program := []bpf.Instruction{}
	for _, in := range raw {
		program = append(program, in.Disassemble())
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	data := binary.BigEndian.AppendUint32(nil, number) // the order of bytes that the VM expects
	data = binary.BigEndian.AppendUint32(data, arch)
	data = append(data, make([]byte, 8)...) // instruction pointer
	for _, a := range args {
		data = binary.BigEndian.AppendUint32(data, uint32(a))
		data = binary.BigEndian.AppendUint32(data, uint32(a>>32))
	}
	got, err := vm.Run(data)
	switch {
	case err != nil:
		t.Fatal(err)
	case got == unix.SECCOMP_RET_ALLOW:
		return 0
	case got&^0xffff != unix.SECCOMP_RET_ERRNO:
		t.Fatalf("verdict %#x is neither to pass nor to fail", got)
	}
	return unix.Errno(got & 0xffff)
}
