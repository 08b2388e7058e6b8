package owner

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// deaf is a listener whose backlog is full: who connects to it waits for an answer.
func deaf(t testing.TB, address string) netip.AddrPort {
	t.Helper()
	at := netip.MustParseAddrPort(address)
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if at.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Addr: at.Addr().As16()}
	}
	fd := socket(t, family)
	if err := unix.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at = name(t, fd)
	for range 2 { // one is accepted into the backlog
		connect(t, at)
	}
	return at
}

// requireFiles lets the test have descriptors below a number, or skips it.
func requireFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= n {
		return
	}
	limit.Cur, limit.Max = n, max(limit.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Skipf("needs %d open files: %v", n, err)
	}
}

func socket(t testing.TB, family int) int {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func name(t testing.TB, fd int) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if sa, ok := sa.(*unix.SockaddrInet6); ok {
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom4(sa.(*unix.SockaddrInet4).Addr), uint16(sa.(*unix.SockaddrInet4).Port))
}

// connect begins to connect, and returns the socket and its address.
func connect(t testing.TB, to netip.AddrPort) (fd int, local netip.AddrPort) {
	t.Helper()
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())})
	if to.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
	}
	fd = socket(t, family)
	if err := unix.Connect(fd, sa); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	return fd, name(t, fd)
}

// patient is for tests of results: this machine may be busy.
const patient = time.Minute

func testFinder(t testing.TB, patience time.Duration) *Finder {
	t.Helper()
	f, err := newFinder(nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// ask asks for the process of one socket.
func ask(f *Finder, s Socket, done func(Process)) (p Process, searching bool) {
	q := []Query{{Socket: s, Done: func(p Process, _ Reason) { done(p) }}}
	f.Search(q)
	return q[0].Process, q[0].Searching
}

// find searches for the process of a socket.
func find(t testing.TB, f *Finder, s Socket) Process {
	t.Helper()
	found := make(chan Process, 1)
	switch p, searching := ask(f, s, func(p Process) { found <- p }); {
	case p.PID != 0:
		return p
	case !searching:
		t.Fatalf("no search for %+v: %+v", s, f.Stats())
	}
	select {
	case p := <-found:
		return p
	case <-time.After(patient):
		t.Fatal("the search does not end")
		panic("unreachable")
	}
}

func TestFind(t *testing.T) {
	f := testFinder(t, patient)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	executable, err = filepath.EvalSymlinks(executable)
	if err != nil {
		t.Fatal(err)
	}
	want := Process{PID: os.Getpid(), Name: filepath.Base(executable), Exe: executable}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		server := deaf(t, address)
		for range 5 {
			_, local := connect(t, server)
			s, ok := f.Socket(flow.TCP, local, server)
			if !ok || s.UID != uint32(unix.Getuid()) {
				t.Fatalf("Socket(%v, %v) = %+v, %t, want one of user %d", local, server, s, ok, unix.Getuid())
			}
			got := find(t, f, s)
			got.Unit, got.Container = "", "" // of this machine
			if got != want {
				t.Errorf("socket %v is held by %+v, want %+v", local, got, want)
			}
		}
	}
	if got := f.Stats(); got.Found != 10 {
		t.Errorf("counted %+v, want 10 found", got)
	}
}

// Sockets that are asked for together are found, and told apart from one that no process holds.
func TestFindTogether(t *testing.T) {
	f := testFinder(t, patient)
	server := deaf(t, "127.0.0.1:0")
	const sockets, closed = 4, 2
	var queries []Query
	found := make([]chan Process, sockets)
	for i := range sockets {
		fd, local := connect(t, server)
		s, ok := f.Socket(flow.TCP, local, server)
		if !ok {
			t.Fatal("no socket")
		}
		if i == closed {
			if err := unix.Dup2(socket(t, unix.AF_INET), fd); err != nil {
				t.Fatal(err)
			}
		}
		found[i] = make(chan Process, 1)
		queries = append(queries, Query{Socket: s, Done: func(p Process, _ Reason) { found[i] <- p }})
	}
	for range 2 { // the second time the process is known
		f.Search(queries)
		for i, q := range queries {
			p, want := q.Process, os.Getpid()
			if q.Searching {
				p = <-found[i]
			}
			if i == closed {
				want = 0
			}
			if p.PID != want {
				t.Errorf("socket %d of %d is held by %+v, want %d", i, sockets, p, want)
			}
			queries[i] = Query{Socket: q.Socket, Done: q.Done}
		}
	}
}

// A tuple without a connecting socket belongs to no user, least of all to user 0.
func TestNoSocket(t *testing.T) {
	t.Parallel()
	f := testFinder(t, patient)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := l.Addr().(*net.TCPAddr).AddrPort()
	open, err := net.Dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	over, err := net.Dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	over.Close() // and the other end is not: FIN-WAIT-2
	for what, local := range map[string]netip.AddrPort{
		"an established connection": open.LocalAddr().(*net.TCPAddr).AddrPort(),
		"a closed socket":           over.LocalAddr().(*net.TCPAddr).AddrPort(),
		"no socket":                 netip.MustParseAddrPort("192.0.2.1:1"),
	} {
		if s, ok := f.Socket(flow.TCP, local, server); ok {
			t.Errorf("%s is %+v", what, s)
		}
	}
	if s, ok := f.Socket(flow.TCP, server, netip.MustParseAddrPort("127.0.0.1:1")); ok {
		t.Errorf("the listener of the client's port is %+v", s)
	}
	if got := f.Stats().NotFound[NoSocket]; got != 4 {
		t.Errorf("%d were counted, want 4", got)
	}
}

// Who opens connections that cannot be found uses up his own budget. Other users have theirs.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	f := testFinder(t, searchTime)
	f.lacks = nil
	f.mu.Lock()
	f.budgets.of(12345, time.Now()).SetLimit(1) // else it comes back while this machine stalls
	f.mu.Unlock()
	searches := 0
	for searches < 100_000 {
		done := make(chan bool)
		if _, searching := ask(f, Socket{UID: 12345, inode: 1}, func(p Process) { done <- p != Process{} }); !searching {
			break
		}
		if <-done {
			t.Fatal("found a process for a socket that is not there")
		}
		searches++
	}
	if stats := f.Stats(); stats.NotFound[Budget] != 1 || searches < 10 {
		t.Errorf("%d searches until %+v, want the budget used up after more than 10", searches, stats)
	}
	find(t, f, Socket{UID: 12346, inode: 1})
}

// A search that takes too long is cut short, and goes on for itself: the next one knows its
// results.
func TestSearchIsCutShort(t *testing.T) {
	requireFiles(t, 3*minLooks)
	f := testFinder(t, 0)
	server := deaf(t, "127.0.0.1:0")
	for range 2 * minLooks { // before the socket
		socket(t, unix.AF_INET)
	}
	_, local := connect(t, server)
	s, ok := f.Socket(flow.TCP, local, server)
	if !ok {
		t.Fatal("no socket")
	}
	if got := find(t, f, s); got != (Process{}) || f.Stats().NotFound[Deadline] != 1 {
		t.Errorf("found %+v: %+v, want nothing in no time", got, f.Stats())
	}
	for deadline := time.Now().Add(30 * time.Second); find(t, f, s).PID != os.Getpid(); {
		if time.Now().After(deadline) {
			t.Fatal("never found")
		}
	}
}

// The client of a search that waits for others of its user has its answer in time, too.
func TestSearchThatWaits(t *testing.T) {
	t.Parallel()
	f := &Finder{
		kernel:   &kernel{budgets: newBudgets(), stats: Stats{NotFound: make(map[Reason]uint64)}},
		patience: time.Second, total: 3, running: map[uint32]int{7: 3},
	}
	ended := 0
	waits := func(since time.Duration) *search {
		return &search{socket: Socket{UID: 7}, asked: time.Now().Add(-since), done: func(p Process, why Reason) {
			if ended++; p != (Process{}) || why != Deadline {
				t.Errorf("it has found %+v", p)
			}
		}}
	}
	f.waiting = map[uint32][]*search{7: {waits(time.Hour), waits(time.Minute), waits(-time.Hour)}}
	f.giveUp()
	if ended != 0 {
		t.Errorf("%d have ended while this machine stalled", ended)
	}
	f.made = waitLooks
	f.giveUp()
	if ended != 2 || len(f.waiting[7]) != 1 || f.total != 1 || f.running[7] != 1 || f.stats.NotFound[Deadline] != 2 {
		t.Errorf("%d have ended, %d wait, %d go on: %+v", ended, len(f.waiting[7]), f.total, f.stats)
	}
}

// Only so many search at a time, and not all of them for one user.
func TestBusy(t *testing.T) {
	t.Parallel()
	f := &Finder{
		kernel: &kernel{budgets: newBudgets(), stats: Stats{NotFound: make(map[Reason]uint64)}},
		queue:  make(chan *search, maxSearches), running: make(map[uint32]int),
	}
	began := 0
	for uid := range uint32(8) {
		ofOne := 0
		for range maxSearches {
			if _, searching := ask(f, Socket{UID: uid, inode: 1}, nil); searching {
				ofOne++
			}
		}
		if ofOne > maxOfOne {
			t.Errorf("user %d has %d searches, want %d", uid, ofOne, maxOfOne)
		}
		began += ofOne
	}
	if began != maxSearches || f.stats.NotFound[Busy] != 7*maxSearches {
		t.Errorf("%d searches began, %d did not", began, f.stats.NotFound[Busy])
	}
}

// Without the capabilities only the router's own user is searched for.
func TestLacks(t *testing.T) {
	t.Parallel()
	f := testFinder(t, patient)
	f.lacks = []string{"CAP_SYS_PTRACE"}
	if _, searching := ask(f, Socket{UID: f.uid + 1, inode: 1}, nil); searching {
		t.Error("a search begins that cannot succeed")
	}
	if got := f.Stats().NotFound[Permission]; got != 1 {
		t.Errorf("%d were counted, want 1", got)
	}
}

// A program that has just begun is found by few looks.
func TestFresh(t *testing.T) {
	t.Parallel()
	if unix.Geteuid() != 0 {
		t.Skip("another user's program takes root")
	}
	file, inode := heldSocket(t)
	const uid = 12345
	child := exec.Command("sleep", "60")
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	child.ExtraFiles = []*os.File{file}
	start(t, child)
	p := testProcesses(t)
	for _, most := range []int{3 * freshNumbers, freshNumbers / 2} { // the second time much is known
		looks := 0
		clear(p.known)
		got, _ := p.search(Socket{UID: uid, inode: inode}, func() bool { looks++; return true })
		if got.PID != child.Process.Pid || looks > most {
			t.Errorf("after %d looks found %+v, want %d after %d", looks, got, child.Process.Pid, most)
		}
	}
}

// A program of exec is found in time, however many others have begun after it.
func TestTree(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/thread-self/children"); err != nil {
		t.Skip("the kernel lists no children")
	}
	file, inode := heldSocket(t)
	root := exec.Command("sh", "-c", "sh -c 'sleep 60 & exec 3>&-; echo $!; wait' & exec 3>&-; wait")
	root.ExtraFiles = []*os.File{file}
	out, err := root.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, root)
	var want int
	if _, err := fmt.Fscan(out, &want); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Kill(want, unix.SIGKILL) })
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for range 2 * minLooks / firstDescriptors {
		other := exec.Command("sleep", "60")
		other.ExtraFiles = slices.Repeat([]*os.File{null}, firstDescriptors-firstFD)
		start(t, other)
	}
	p := testProcesses(t)
	p.root = root.Process.Pid
	looks := 0
	look := func() bool { looks++; return looks <= minLooks }
	got, reason := p.search(Socket{UID: uint32(unix.Getuid()), inode: inode}, look)
	if got.PID != want {
		t.Errorf("after %d looks found %+v (%s), want %d", looks, got, reason, want)
	}
}

// A process that has gone to another network with its socket is found, behind those that are in the
// socket's own. It is not parallel: a child of this process, until it executes its program, holds
// this process's sockets too.
func TestElsewhere(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	inode, err := socketInode(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), make([]byte, bufferSize))
	if err != nil {
		t.Fatal(err)
	}
	far, near := exec.Command("sleep", "60"), exec.Command("sleep", "60")
	far.ExtraFiles = []*os.File{file}
	if err := ns.Do(func() error { start(t, far); return nil }); err != nil {
		t.Fatal(err)
	}
	start(t, near)
	_ = file.Close()
	n, err := OpenNetwork("")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	p := testProcesses(t)
	p.place = n.place
	w := walk{processes: p, socket: Socket{UID: uint32(unix.Getuid()), inode: inode}, look: func() bool { return true }}
	if w.elsewhere(near.Process.Pid, w.may) || !w.elsewhere(far.Process.Pid, w.may) {
		t.Errorf("the network %q is taken for that of a process in another, or not for this one's", p.place)
	}
	if got, reason := w.all(); got.PID != far.Process.Pid {
		t.Errorf("found %+v (%s), want %d", got, reason, far.Process.Pid)
	}
}

// heldSocket returns a socket for a child to inherit, and its inode.
func heldSocket(t *testing.T) (*os.File, uint32) {
	t.Helper()
	fd := socket(t, unix.AF_INET)
	inode, err := socketInode(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), make([]byte, bufferSize))
	if err != nil {
		t.Fatal(err)
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(dup), "socket")
	t.Cleanup(func() { _ = file.Close() })
	return file, inode
}

// start starts a program that ends with the test.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// testProcesses returns processes that know none, and name all that they find.
func testProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{
		known: make(map[uint32]found), fresh: newFresh(),
		recent: func(uint32) []int { return nil },
		guess:  func(Socket) (found, int, bool) { return found{}, 0, false },
		name:   func(f found, _ Socket) (Process, Reason) { return Process{PID: f.pid}, Found },
	}
	t.Cleanup(p.fresh.close)
	return p
}

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	for last, want := range map[int][]int{0: {40, 30, 20, 10}, 25: {20, 10, 40, 30}, 40: {40, 30, 20, 10}} {
		pids := []int{10, 20, 30, 40}
		if newestFirst(pids, last); !slices.Equal(pids, want) {
			t.Errorf("after %d: %v, want %v", last, pids, want)
		}
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	b, now := newBudgets(), time.Now()
	b.spend(0, savedUserLooks+1, now)
	if b.left(0, now) || !b.left(1, now) || !b.left(0, now.Add(time.Second)) {
		t.Error("a user's budget is not its own, or does not come back")
	}
	for uid := range uint32(2 * maxUsers) {
		b.spend(uid, 1, now)
	}
	if len(b.users) > maxUsers {
		t.Errorf("%d users have a budget, want %d", len(b.users), maxUsers)
	}
	b = newBudgets()
	b.spend(0, savedUserLooks, now)
	b.spend(1, savedUserLooks, now)
	if b.left(2, now) {
		t.Error("all users together have no limit")
	}
}

func BenchmarkFind(b *testing.B) {
	f := testFinder(b, patient)
	server := deaf(b, "127.0.0.1:0")
	_, local := connect(b, server)
	b.ReportAllocs()
	b.Run("socket", func(b *testing.B) {
		for b.Loop() {
			if _, ok := f.Socket(flow.TCP, local, server); !ok {
				b.Fatal("not found")
			}
		}
	})
	s, _ := f.Socket(flow.TCP, local, server)
	b.Run("process", func(b *testing.B) {
		f.budgets.all.SetLimit(1e9)
		f.budgets.of(s.UID, time.Now()).SetLimit(1e9)
		for b.Loop() {
			find(b, f, s)
		}
	})
}
