package e2e_test

import (
	"bytes"
	words "encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
		case status.Stopped() && status.TrapCause() == unix.PTRACE_EVENT_CLONE: // it is not over yet
			if err := unix.PtraceSingleStep(c.tid); err != nil {
				t.Fatal(err)
			}
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

// checkRefused has a process that is taken over try to reach its aims.
func checkRefused(t *testing.T, pid int, all []aim) {
	t.Helper()
	c := takeOver(t, pid)
	defer c.release(t)
	if _, errno := c.do(t, unix.SYS_GETPID); errno != 0 {
		t.Fatalf("getpid: %v", errno)
	}
	for _, a := range all {
		if a.landlock && !haveLandlock() {
			continue
		}
		for _, call := range a.calls {
			want := call.want
			if want == 0 {
				want = unix.EPERM
			}
			if _, errno := c.do(t, call.number, call.args(c)...); errno != want {
				t.Errorf("%s: %s: %v, want %v", a.name, call.name, errno, want)
			}
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
	routed := r.routerPID(t)
	checkDescriptors(t, routed)
	checkRefused(t, routed, aims(t, target{
		keeper: uint64(r.PID()), victim: uint64(lab.Router.Start("sleep", "infinity").PID()),
		log: filepath.Join(r.dir, "handshakes.json"), journal: journalOf(t, routed),
	}))
	checkHostKept(t, routed)
	lab.Router.Run("curl", "-sS", urls()[1])
	r.waitRecords(t, 2)
	r.stop(t, unix.SIGTERM)
}

// journalOf returns the journal of changes of the host, of which a router holds a lock.
func journalOf(t *testing.T, pid int) string {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasSuffix(to, ".journal") {
			return to
		}
	}
	t.Fatalf("process %d has no journal", pid)
	return ""
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
		if err != nil || !strings.HasPrefix(to, "/") || strings.HasSuffix(to, "/dev/net/tun") || to == "/dev/null" || strings.HasPrefix(to, "/memfd:") {
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
	at := func(name string, flags uint64) func(*captive) []uint64 {
		return func(c *captive) []uint64 { return []uint64{0, c.write(t, 0, append([]byte(name), 0)), flags} }
	}
	const listener = 4 // or what has its number now: the call is refused whatever that is
	log := filepath.Join(r.dir, "handshakes.json")
	ofPages := []attempt{
		{"look for a file", unix.SYS_NEWFSTATAT, at(log, 0), 0},
		{"list a directory", unix.SYS_GETDENTS64, with(0), 0},
		{"a netlink socket", unix.SYS_SOCKET, with(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), 0},
		{"connect", unix.SYS_CONNECT, with(listener), 0},
		{"bind", unix.SYS_BIND, with(listener), 0},
		{"end the listener", unix.SYS_SHUTDOWN, with(listener, unix.SHUT_RDWR), 0},
		{"shorten the listener's queue", unix.SYS_LISTEN, with(listener, 0), 0},
		{"filter the listener", unix.SYS_SETSOCKOPT, with(listener, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER), 0},
		{"send to an address", unix.SYS_SENDTO, with(listener), 0},
		{"send a message", unix.SYS_SENDMSG, with(listener), 0},
		{"take a descriptor", unix.SYS_RECVMSG, with(listener), 0},
		{"signal the router", unix.SYS_KILL, with(routed, 0), 0},
		{"trace the router", unix.SYS_PTRACE, with(unix.PTRACE_ATTACH, routed), 0},
		{"read the router's memory", unix.SYS_PROCESS_VM_READV, with(routed), 0},
		{"an ioctl", unix.SYS_IOCTL, with(0, unix.TCGETS), 0},
	}
	all := aims(t, target{keeper: keeper, victim: victim, log: log, journal: journalOf(t, int(routed))})
	others := []unix.Errno{unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EACCES}
	for i := range all {
		for j := range all[i].calls {
			if call := &all[i].calls[j]; slices.Contains(others, call.want) {
				call.want = 0 // it makes no socket at all, and opens nothing
			}
		}
	}
	checkRefused(t, r.webPID(t), append(all, aim{name: "the listener, and what is not the page's", calls: ofPages}))
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
	checkRefused(t, routed, aims(t, target{keeper: uint64(p.PID()), victim: victim, log: log, journal: log}))
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

// TestTakenOverInUnit has code of the test run in the router of the service, and then connect by a
// socket that it has from its keeper, unrecorded.
func TestTakenOverInUnit(t *testing.T) {
	lab := tuntest.NewLab(t)
	m := bootService(t, lab.Router, func(string) {})
	inside := m.mainPID(t)
	keeper := m.outside(t, inside)
	first := routerOf(keeper)
	checkDescriptors(t, first)
	const log = "/var/log/syntap/handshakes.json"
	all := aims(t, target{keeper: uint64(inside), victim: 1, log: log, journal: journalOf(t, first), hidden: true})
	for i := range all { // the unit has a process ended that makes calls of another architecture
		all[i].calls = slices.DeleteFunc(all[i].calls, func(call attempt) bool { return call.number == x32Getpid })
	}
	checkRefused(t, first, all)
	checkHostKept(t, first)

	reached := countConnections(lab, 7001)
	fd, ok := socketOf(t, first, netip.AddrPort{})
	if !ok {
		t.Fatal("the router has no socket that waits")
	}
	c := takeOver(t, first)
	c.connect(t, fd, netip.MustParseAddrPort(tuntest.ServerAddr4+":7001"))
	tuntest.Wait(t, "the finding", func() bool { return len(unrecordedIn(t, m.command(t, "cat", log).stdout)) > 0 })
	if n := reached.Load(); n != 1 {
		t.Errorf("%d connections have come", n)
	}
	c.abandon()
	tuntest.Wait(t, "another router's status", func() bool {
		return strings.Contains(m.command(t, "syntap", "status").stdout, "1 unrecorded; nothing new leaves")
	})

	second := routerOf(keeper)
	const most = 512 // LimitNPROC=
	if n, errno := makeThreads(t, second, 2*most); errno != unix.EAGAIN || n > most {
		t.Errorf("%d threads, then %v; want %d at most, then %v", n, errno, most, unix.EAGAIN)
	}
	tuntest.Wait(t, "another router", func() bool { pid := routerOf(keeper); return pid > 0 && pid != second })
	if got := m.command(t, "systemctl", "stop", "syntap"); got.status != 0 {
		t.Errorf("stop: %+v", got)
	}
}

// TestThreadsAreBounded has a router make threads without end. The kernel refuses that at some
// time, and another router carries packets.
func TestThreadsAreBounded(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	requireTools(t, "curl")
	const most = 1024 // of a user of its own
	exhaust := func(t *testing.T, keeper int) {
		t.Helper()
		first := isolatedRouter(t, keeper)
		if n, errno := makeThreads(t, first, 2*most); errno != unix.EAGAIN || n > most {
			t.Errorf("%d threads, then %v; want %d at most, then %v", n, errno, most, unix.EAGAIN)
		}
		tuntest.Wait(t, "another router", func() bool { pid := routerOf(keeper); return pid > 0 && pid != first })
	}
	t.Run("run", func(t *testing.T) {
		t.Parallel()
		lab := tuntest.NewLab(t)
		serveHTTP(t, lab, greeting)
		r := run(t, lab.Router, "syntap0", everything)
		exhaust(t, r.PID())
		lab.Router.Run("curl", "-sS", urls()[0])
		r.stop(t, unix.SIGTERM)
	})
	t.Run("exec", func(t *testing.T) {
		t.Parallel()
		lab := tuntest.NewLab(t)
		serveHTTP(t, lab, greeting)
		dir := t.TempDir()
		script := `curl -sS $1 && until [ -e $0 ]; do sleep 0.1; done; exec curl -sS $1`
		p := lab.Router.Start(binary, "exec", "--", "sh", "-c", script, filepath.Join(dir, "go"), urls()[0])
		tuntest.Wait(t, "the command", func() bool { return p.Stdout() != "" })
		exhaust(t, p.PID())
		if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if p.Err() != nil {
			t.Errorf("exec ended with %v: %s", p.Err(), p.Stderr())
		}
	})
}

// makeThreads has a process make threads, which do nothing, up to some number, and kills it. It
// returns how many there were, and why there were no more.
func makeThreads(t *testing.T, pid, most int) (n int, errno unix.Errno) {
	t.Helper()
	c := takeOver(t, pid)
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSetOptions(c.tid, unix.PTRACE_O_TRACECLONE); err != nil { // a new thread stops at its start
		t.Fatal(err)
	}
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD | unix.CLONE_SYSVSEM
	for n < most && errno == 0 {
		if _, errno = c.do(t, unix.SYS_CLONE, thread, c.page+4096); errno == 0 {
			n++
		}
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads { // one that is traced ends when its end is seen
		tid, err := strconv.Atoi(thread.Name())
		for err == nil {
			var status unix.WaitStatus
			_, err = unix.Wait4(tid, &status, unix.WALL, nil)
			if errors.Is(err, unix.EINTR) {
				err = nil
			} else if status.Signaled() || status.Exited() {
				break
			}
		}
	}
	return n, errno
}
