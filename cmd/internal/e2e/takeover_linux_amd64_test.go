package e2e_test

import (
	"bytes"
	words "encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// captive is a thread of a process under the test's control: it does any system call, with the
// rights of the process, as code would that an attacker has brought into it.
type captive struct {
	tid     int
	found   unix.PtraceRegs // as it was
	syscall uint64          // where the instruction is
	page    uint64          // of memory, for arguments that are pointers
}

// takeOver stops a thread of a process, until release. The calling goroutine keeps its own thread,
// which alone may give orders. It is not the first thread of the process: a test that waits for
// its end would be told of its stops (ptrace(2)).
func takeOver(t *testing.T, pid int) *captive {
	t.Helper()
	runtime.LockOSThread()
	c := &captive{tid: otherThread(t, pid), syscall: syscallInstruction(t, pid)}
	if err := unix.PtraceAttach(c.tid); err != nil {
		runtime.UnlockOSThread()
		t.Skipf("needs ptrace: %v", err)
	}
	c.await(t)
	if err := unix.PtraceGetRegs(c.tid, &c.found); err != nil {
		t.Fatal(err)
	}
	page, errno := c.do(t, unix.SYS_MMAP, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uint64(0), 0)
	if errno != 0 {
		t.Fatalf("map memory: %v", errno)
	}
	c.page = page
	return c
}

// otherThread returns a thread of a process that is not its first.
func otherThread(t *testing.T, pid int) int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads of process %d: %v, %v", pid, threads, err)
	}
	tid, err := strconv.Atoi(threads[1].Name())
	if err != nil {
		t.Fatal(err)
	}
	return tid
}

// syscallInstruction returns an address in the text of a process where its bytes make that
// instruction.
func syscallInstruction(t *testing.T, pid int) uint64 {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Skipf("needs ptrace: %v", err)
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "r-x") {
			continue
		}
		text := make([]byte, to-from)
		if _, err := memory.ReadAt(text, from); err != nil {
			continue
		}
		if at := bytes.Index(text, []byte{0x0f, 0x05}); at >= 0 {
			return uint64(from) + uint64(at)
		}
	}
	t.Fatal("the process has no instruction for system calls")
	return 0
}

// await waits until the thread stops, and returns the signal that stopped it.
func (c *captive) await(t *testing.T) unix.Signal {
	t.Helper()
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(c.tid, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			t.Fatalf("wait for the router to stop: %v", err)
		case status.Stopped():
			return status.StopSignal()
		default:
			t.Fatalf("the router has ended: %#x", status)
		}
	}
}

// do has the thread do a system call.
func (c *captive) do(t *testing.T, number uint64, args ...uint64) (result uint64, errno unix.Errno) {
	t.Helper()
	regs := c.found
	regs.Rip, regs.Rax, regs.Orig_rax = c.syscall, number, ^uint64(0) // of no call that would be done again
	for i, r := range []*uint64{&regs.Rdi, &regs.Rsi, &regs.Rdx, &regs.R10, &regs.R8, &regs.R9} {
		*r = 0
		if i < len(args) {
			*r = args[i]
		}
	}
	if err := unix.PtraceSetRegs(c.tid, &regs); err != nil {
		t.Fatal(err)
	}
	for regs.Rip == c.syscall { // a signal came first: it is dropped
		if err := unix.PtraceSingleStep(c.tid); err != nil {
			t.Fatal(err)
		}
		c.await(t)
		if err := unix.PtraceGetRegs(c.tid, &regs); err != nil {
			t.Fatal(err)
		}
	}
	if e := -int64(regs.Rax); e > 0 && e < 4096 {
		return 0, unix.Errno(e)
	}
	return regs.Rax, 0
}

// write puts bytes into the page and returns their address.
func (c *captive) write(t *testing.T, at uint64, text []byte) uint64 {
	t.Helper()
	if _, err := unix.PtracePokeData(c.tid, uintptr(c.page+at), text); err != nil {
		t.Fatal(err)
	}
	return c.page + at
}

// read returns the first bytes of the page.
func (c *captive) read(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := unix.PtracePeekData(c.tid, uintptr(c.page), b); err != nil {
		t.Fatal(err)
	}
	return b
}

// release lets the thread go on where it was.
func (c *captive) release(t *testing.T) {
	t.Helper()
	defer runtime.UnlockOSThread()
	c.do(t, unix.SYS_MUNMAP, c.page, 4096)
	if err := unix.PtraceSetRegs(c.tid, &c.found); err != nil {
		t.Fatal(err)
	}
	if err := unix.PtraceDetach(c.tid); err != nil {
		t.Fatal(err)
	}
}

// abandon gives up a thread whose process is killed.
func (c *captive) abandon() {
	defer runtime.UnlockOSThread()
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(c.tid, &status, unix.WALL, nil); !errors.Is(err, unix.EINTR) && (err != nil || !status.Stopped()) {
			return
		}
		_ = unix.PtraceDetach(c.tid) // it was not killed yet
	}
}

// attempt is a system call that a router has no use for.
type attempt struct {
	name   string
	number uint64
	args   func(c *captive) []uint64
	want   unix.Errno // 0 = EPERM
}

func with(args ...uint64) func(*captive) []uint64 { return func(*captive) []uint64 { return args } }

// attempts are those of a router that is taken over. victim is another process of its user.
func attempts(t *testing.T, victim uint64) []attempt {
	path := func(path string, then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append([]uint64{c.write(t, 0, append([]byte(path), 0))}, then...) }
	}
	pointer := func(before []uint64, value []byte, then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append(append(before, c.write(t, 0, value)), then...) }
	}
	const rwx = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	root := []byte("/\x00")
	limit := []byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0} // struct rlimit
	return []attempt{
		{"execve", unix.SYS_EXECVE, path("/bin/sh"), 0},
		{"execveat", unix.SYS_EXECVEAT, pointer([]uint64{0}, []byte("/bin/sh\x00")), 0},
		{"fork", unix.SYS_FORK, with(), 0},
		{"vfork", unix.SYS_VFORK, with(), 0},
		{"a child by clone", unix.SYS_CLONE, with(uint64(unix.SIGCHLD)), 0},
		{"a child by clone3", unix.SYS_CLONE3, pointer(nil, make([]byte, 88), 88), unix.ENOSYS},
		{"a user namespace by clone", unix.SYS_CLONE, with(unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)), 0},
		{"a user namespace", unix.SYS_UNSHARE, with(unix.CLONE_NEWUSER), 0},
		{"a mount namespace", unix.SYS_UNSHARE, with(unix.CLONE_NEWNS), 0},
		{"setns", unix.SYS_SETNS, with(0, 0), 0},
		{"ptrace", unix.SYS_PTRACE, with(unix.PTRACE_ATTACH, victim), 0},
		{"process_vm_readv", unix.SYS_PROCESS_VM_READV, with(victim), 0},
		{"process_vm_writev", unix.SYS_PROCESS_VM_WRITEV, with(victim), 0},
		{"pidfd_open", unix.SYS_PIDFD_OPEN, with(victim), 0},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, with(0, 0), 0},
		{"signal a thread of another process", unix.SYS_TGKILL, with(victim, victim, 0), 0},
		{"queue a signal", unix.SYS_RT_SIGQUEUEINFO, with(victim, 0, 0), 0},
		{"mount", unix.SYS_MOUNT, path("tmpfs"), 0},
		{"umount", unix.SYS_UMOUNT2, path("/proc"), 0},
		{"open_tree", unix.SYS_OPEN_TREE, pointer([]uint64{0}, root, 1), 0},
		{"move_mount", unix.SYS_MOVE_MOUNT, with(), 0},
		{"fsopen", unix.SYS_FSOPEN, path("tmpfs"), 0},
		{"pivot_root", unix.SYS_PIVOT_ROOT, path("/"), 0},
		{"chroot", unix.SYS_CHROOT, path("/"), 0},
		{"mknod", unix.SYS_MKNODAT, with(), 0},
		{"bpf", unix.SYS_BPF, with(), 0},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, with(), 0},
		{"userfaultfd", unix.SYS_USERFAULTFD, with(1), 0},
		{"io_uring", unix.SYS_IO_URING_SETUP, pointer([]uint64{1}, make([]byte, 120)), 0},
		{"add_key", unix.SYS_ADD_KEY, path("user"), 0},
		{"request_key", unix.SYS_REQUEST_KEY, path("user"), 0},
		{"keyctl", unix.SYS_KEYCTL, with(0), 0},
		{"init_module", unix.SYS_INIT_MODULE, with(), 0},
		{"finit_module", unix.SYS_FINIT_MODULE, with(), 0},
		{"kexec_load", unix.SYS_KEXEC_LOAD, with(), 0},
		{"reboot", unix.SYS_REBOOT, with(), 0},
		{"set the clock", unix.SYS_CLOCK_SETTIME, with(unix.CLOCK_MONOTONIC), 0},
		{"sethostname", unix.SYS_SETHOSTNAME, path("x", 0), 0},
		{"syslog", unix.SYS_SYSLOG, with(10), 0},
		{"personality", unix.SYS_PERSONALITY, with(0xffffffff), 0},
		{"setuid", unix.SYS_SETUID, with(0), 0},
		{"capset", unix.SYS_CAPSET, with(), 0},
		{"another filter", unix.SYS_SECCOMP, with(), 0},
		{"prctl", unix.SYS_PRCTL, with(unix.PR_SET_DUMPABLE, 1), 0},
		{"raise a limit", unix.SYS_PRLIMIT64, pointer([]uint64{0, unix.RLIMIT_NOFILE}, limit), 0},
		{"memfd_create", unix.SYS_MEMFD_CREATE, path("x"), 0},
		{"memory to execute", unix.SYS_MMAP, with(0, 4096, rwx, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uint64(0)), 0},
		{"execute memory", unix.SYS_MPROTECT, func(c *captive) []uint64 { return []uint64{c.page, 4096, rwx} }, 0},
		{"a socket of vsock", unix.SYS_SOCKET, with(unix.AF_VSOCK, unix.SOCK_STREAM, 0), unix.EAFNOSUPPORT},
		{"a packet socket", unix.SYS_SOCKET, with(unix.AF_PACKET, unix.SOCK_RAW, 0), unix.EAFNOSUPPORT},
		{"a socket of the kernel's ciphers", unix.SYS_SOCKET, with(unix.AF_ALG, unix.SOCK_SEQPACKET, 0), unix.EAFNOSUPPORT},
		{"type into the terminal", unix.SYS_IOCTL, with(0, unix.TIOCSTI), 0},
		{"signal a process by a descriptor", unix.SYS_FCNTL, with(0, unix.F_SETOWN, victim), 0},
		{"hard link", unix.SYS_LINKAT, with(), 0},
		{"symbolic link", unix.SYS_SYMLINKAT, with(), 0},
		{"change an owner", unix.SYS_FCHOWNAT, with(), 0},
		{"x32's getpid", 0x4000_0000 | unix.SYS_GETPID, with(), 0},
	}
}

// checkRefused has a router, whose process is given, make the attempts.
func checkRefused(t *testing.T, pid int, all []attempt) {
	t.Helper()
	c := takeOver(t, pid)
	defer c.release(t)
	if got, errno := c.do(t, unix.SYS_GETPID); errno != 0 || got != uint64(pid) {
		t.Fatalf("getpid in the router: %d, %v; want %d", got, errno, pid)
	}
	for _, a := range all {
		want := a.want
		if want == 0 {
			want = unix.EPERM
		}
		if _, errno := c.do(t, a.number, a.args(c)...); errno != want {
			t.Errorf("%s: %v, want %v", a.name, errno, want)
		}
	}
}

// TestTakenOver has code of the test run in a router. Then the router goes on.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything)
	lab.Router.Run("curl", "-sS", urls()[0])
	victim := uint64(lab.Router.Start("sleep", "infinity").PID())
	routed, log := r.routerPID(t), filepath.Join(r.dir, "handshakes.json")
	checkDescriptors(t, routed)
	checkRefused(t, routed, append(attempts(t, victim), ofRouters(t, uint64(r.PID()), victim, log)...))
	checkHostKept(t, routed)
	lab.Router.Run("curl", "-sS", urls()[1])
	r.waitRecords(t, 2)
	r.stop(t, unix.SIGTERM)
}

// ofRouters are attempts to harm the keeper, the host, or a log.
func ofRouters(t *testing.T, keeper, victim uint64, log string) []attempt {
	at := func(path string, flags uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return []uint64{0, c.write(t, 0, append([]byte(path), 0)), flags} }
	}
	path := func(path string, then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append([]uint64{c.write(t, 0, append([]byte(path), 0))}, then...) }
	}
	const (
		space   = 64 << 30 // bytes, of which none need be there
		reserve = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	)
	all := []attempt{
		{"a socket of its own", unix.SYS_SOCKET, with(unix.AF_INET, unix.SOCK_STREAM, 0), unix.EAFNOSUPPORT},
		{"a raw socket", unix.SYS_SOCKET, with(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), unix.EAFNOSUPPORT},
		{"a socket to a service of this host", unix.SYS_SOCKET, with(unix.AF_UNIX, unix.SOCK_STREAM, 0), unix.EAFNOSUPPORT},
		{"a pair of sockets", unix.SYS_SOCKETPAIR, with(unix.AF_UNIX, unix.SOCK_STREAM, 0), 0},
		{"listen", unix.SYS_LISTEN, with(0, 1), 0},
		{"read a file", unix.SYS_OPENAT, at("/etc/passwd", unix.O_RDONLY), 0},
		{"read a file by open", unix.SYS_OPEN, path("/etc/passwd", unix.O_RDONLY), 0},
		{"read a file by openat2", unix.SYS_OPENAT2, at("/etc/passwd", 0), unix.ENOSYS},
		{"read the log", unix.SYS_OPENAT, at(log, unix.O_RDONLY), 0},
		{"read what the keeper is doing", unix.SYS_OPENAT, at(fmt.Sprintf("/proc/%d/status", keeper), unix.O_RDONLY), 0},
		{"read another process's environment", unix.SYS_OPENAT, at(fmt.Sprintf("/proc/%d/environ", victim), unix.O_RDONLY), 0},
		{"read its own memory by a file", unix.SYS_OPENAT, at("/proc/self/mem", unix.O_RDWR), 0},
		{"watch files", unix.SYS_INOTIFY_INIT1, with(0), 0},
		{"all memory", unix.SYS_MMAP, with(0, space, unix.PROT_READ|unix.PROT_WRITE, reserve, ^uint64(0), 0), unix.ENOMEM},
		{"signal the keeper by a descriptor", unix.SYS_FCNTL, with(0, unix.F_SETOWN, keeper), 0},
		{"with a signal that kills", unix.SYS_FCNTL, with(0, unix.F_SETSIG, uint64(unix.SIGKILL)), 0},
		{"signal another process", unix.SYS_KILL, with(victim, 0), 0},
		{"signal the keeper", unix.SYS_KILL, with(keeper, 0), 0},
		{"signal a thread of the keeper", unix.SYS_TGKILL, with(keeper, keeper, 0), 0},
		{"trace the keeper", unix.SYS_PTRACE, with(unix.PTRACE_ATTACH, keeper), 0},
		{"read the keeper's memory", unix.SYS_PROCESS_VM_READV, with(keeper), 0},
		{"write the keeper's memory", unix.SYS_PROCESS_VM_WRITEV, with(keeper), 0},
		{"a handle on the keeper", unix.SYS_PIDFD_OPEN, with(keeper), 0},
		{"change nftables", unix.SYS_SOCKET, with(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER), unix.EPROTONOSUPPORT},
		{"change IPsec", unix.SYS_SOCKET, with(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_XFRM), unix.EPROTONOSUPPORT},
		{"speak for the kernel's device events", unix.SYS_SOCKET, with(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT), unix.EPROTONOSUPPORT},
		{"make a TUN", unix.SYS_IOCTL, with(0, unix.TUNSETIFF), 0},
		{"have the TUN outlast it", unix.SYS_IOCTL, with(0, unix.TUNSETPERSIST, 1), 0},
		{"change a link", unix.SYS_IOCTL, with(0, unix.SIOCSIFFLAGS), 0},
		{"write the log", unix.SYS_OPENAT, at(log, unix.O_WRONLY|unix.O_APPEND), 0},
		{"cut the log", unix.SYS_TRUNCATE, path(log, 0), 0},
		{"cut the log as it is opened", unix.SYS_OPENAT, at(log, unix.O_TRUNC), 0},
		{"remove the log", unix.SYS_UNLINK, path(log), 0},
		{"remove the log by unlinkat", unix.SYS_UNLINKAT, at(log, 0), 0},
		{"make a file", unix.SYS_OPEN, path("/tmp/x", unix.O_CREAT), 0},
		{"write the keeper's memory by a file", unix.SYS_OPENAT, at(fmt.Sprintf("/proc/%d/mem", keeper), unix.O_RDWR), 0},
		{"write a file that is open", unix.SYS_PWRITE64, with(2, 0, 0), 0},
		{"add a route by ioctl", unix.SYS_IOCTL, with(0, unix.SIOCADDRT), 0},
	}
	if haveLandlock() {
		links := fmt.Sprintf("/proc/%d/exe", victim)
		all = append(all, []attempt{
			{"read a directory", unix.SYS_OPENAT, at("/etc", unix.O_RDONLY|unix.O_DIRECTORY), unix.EACCES},
			{"list processes", unix.SYS_OPENAT, at("/proc", unix.O_RDONLY|unix.O_DIRECTORY), unix.EACCES},
			{"tell another process's program", unix.SYS_READLINK, func(c *captive) []uint64 {
				return []uint64{c.write(t, 0, append([]byte(links), 0)), c.page + 2048, 2048}
			}, unix.EACCES},
		}...)
	}
	return all
}

// checkDescriptors looks for files that a process may write by the descriptors that it has.
func checkDescriptors(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/", pid)
	all, err := os.ReadDir(dir + "fd")
	if err != nil || len(all) < 5 {
		t.Fatalf("descriptors of process %d: %v, %v", pid, all, err)
	}
	for _, fd := range all {
		to, err := os.Readlink(dir + "fd/" + fd.Name())
		if err != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "/dev/") || strings.HasPrefix(to, "/memfd:") {
			continue
		}
		info, err := os.ReadFile(dir + "fdinfo/" + fd.Name())
		if err != nil {
			continue // it is closed by now
		}
		var flags int
		_, text, _ := strings.Cut(string(info), "flags:")
		if _, err := fmt.Sscanf(strings.TrimSpace(text), "%o", &flags); err != nil {
			t.Fatal(err)
		}
		if flags&unix.O_ACCMODE != unix.O_RDONLY {
			t.Errorf("descriptor %s writes %s", fd.Name(), to)
		}
	}
}

// checkHostKept has a router ask the kernel to change links, addresses, routes and rules.
func checkHostKept(t *testing.T, pid int) {
	t.Helper()
	c := takeOver(t, pid)
	defer c.release(t)
	fd, errno := c.do(t, unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	if errno != 0 {
		t.Fatalf("a socket to ask for routes: %v", errno)
	}
	defer c.do(t, unix.SYS_CLOSE, fd)
	for _, message := range []uint16{
		unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWADDR, unix.RTM_DELADDR,
		unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWNEIGH, unix.RTM_NEWQDISC,
	} {
		const length = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
		b := make([]byte, length)
		words.NativeEndian.PutUint32(b, length)
		words.NativeEndian.PutUint16(b[4:], message)
		words.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		b[unix.SizeofNlMsghdr] = unix.AF_INET
		if _, errno := c.do(t, unix.SYS_SENDTO, fd, c.write(t, 0, b), length, 0, 0, 0); errno != 0 {
			t.Fatalf("message %d: %v", message, errno)
		}
		if _, errno := c.do(t, unix.SYS_RECVFROM, fd, c.page, 2048, 0, 0, 0); errno != 0 {
			t.Fatalf("answer to message %d: %v", message, errno)
		}
		got := c.read(t, unix.SizeofNlMsghdr+4)
		if refused := unix.Errno(-int32(words.NativeEndian.Uint32(got[unix.SizeofNlMsghdr:]))); refused != unix.EPERM {
			t.Errorf("message %d: %v, want %v", message, refused, unix.EPERM)
		}
	}
}

// TestTakenOverWeb has code of the test run in the process that serves http.listen. Then it goes
// on.
func TestTakenOverWeb(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", viewed)
	get := func() string { return lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/healthz") }
	get()
	victim := uint64(lab.Router.Start("sleep", "infinity").PID())
	keeper, routed := uint64(r.PID()), uint64(r.routerPID(t))
	path := func(path string, then ...uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return append([]uint64{c.write(t, 0, append([]byte(path), 0))}, then...) }
	}
	at := func(name string, flags uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return []uint64{0, c.write(t, 0, append([]byte(name), 0)), flags} }
	}
	const listener = 4 // or what has its number now: the call is refused whatever that is
	log := filepath.Join(r.dir, "handshakes.json")
	ofPages := []attempt{
		{"read a file", unix.SYS_OPENAT, at("/etc/passwd", unix.O_RDONLY), 0},
		{"read a file by open", unix.SYS_OPEN, path("/etc/passwd", unix.O_RDONLY), 0},
		{"read the log", unix.SYS_OPENAT, at(log, unix.O_RDONLY), 0},
		{"write the log", unix.SYS_OPENAT, at(log, unix.O_WRONLY), 0},
		{"look for a file", unix.SYS_NEWFSTATAT, at(log, 0), 0},
		{"list a directory", unix.SYS_GETDENTS64, with(0), 0},
		{"remove the log", unix.SYS_UNLINK, path(log), 0},
		{"a socket", unix.SYS_SOCKET, with(unix.AF_INET, unix.SOCK_STREAM), 0},
		{"a local socket", unix.SYS_SOCKET, with(unix.AF_UNIX, unix.SOCK_STREAM), 0},
		{"a netlink socket", unix.SYS_SOCKET, with(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), 0},
		{"a socket pair", unix.SYS_SOCKETPAIR, with(unix.AF_UNIX, unix.SOCK_STREAM), 0},
		{"connect", unix.SYS_CONNECT, with(listener), 0},
		{"bind", unix.SYS_BIND, with(listener), 0},
		{"end the listener", unix.SYS_SHUTDOWN, with(listener, unix.SHUT_RDWR), 0},
		{"shorten the listener's queue", unix.SYS_LISTEN, with(listener, 0), 0},
		{"filter the listener", unix.SYS_SETSOCKOPT, with(listener, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER), 0},
		{"send to an address", unix.SYS_SENDTO, with(listener), 0},
		{"send a message", unix.SYS_SENDMSG, with(listener), 0},
		{"take a descriptor", unix.SYS_RECVMSG, with(listener), 0},
		{"signal another process", unix.SYS_KILL, with(victim, 0), 0},
		{"signal the keeper", unix.SYS_KILL, with(keeper, 0), 0},
		{"signal the router", unix.SYS_KILL, with(routed, 0), 0},
		{"trace the router", unix.SYS_PTRACE, with(unix.PTRACE_ATTACH, routed), 0},
		{"read the router's memory", unix.SYS_PROCESS_VM_READV, with(routed), 0},
		{"an ioctl", unix.SYS_IOCTL, with(0, unix.TCGETS), 0},
	}
	all := attempts(t, victim)
	for i := range all {
		if all[i].want == unix.EAFNOSUPPORT {
			all[i].want = 0 // it makes none at all
		}
	}
	checkRefused(t, r.webPID(t), append(all, ofPages...))
	get()
	r.stop(t, unix.SIGTERM)
}

// TestTakenOverInExec has code of the test run in the router of a command.
func TestTakenOverInExec(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	log := filepath.Join(t.TempDir(), "handshakes")
	const script = `exec "$0" exec -o "$1" -- sh -c "echo started; exec sleep infinity" 2>"$1.err"`
	p := lab.Router.Start("sh", "-c", script, binary, log)
	tuntest.Wait(t, "a command", func() bool { return p.Stdout() != "" })
	victim := uint64(lab.Router.Start("sleep", "infinity").PID())
	routed := isolatedRouter(t, p.PID())
	checkDescriptors(t, routed)
	checkRefused(t, routed, append(attempts(t, victim), ofRouters(t, uint64(p.PID()), victim, log)...))
	checkHostKept(t, routed)
	if err := p.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(tuntest.Patience):
		t.Fatal("exec goes on after SIGTERM")
	}
}
