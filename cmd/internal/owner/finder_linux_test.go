package owner

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	f, err := newFinder(patience)
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

// process searches for the process of a socket.
func process(t testing.TB, f *Finder, s Socket) Process {
	t.Helper()
	found := make(chan Process, 1)
	switch p, searching := f.Search(s, func(p Process) { found <- p }); {
	case p.PID != 0:
		return p
	case !searching:
		t.Fatalf("no search for %+v: %+v", s, f.Stats())
	}
	select {
	case p := <-found:
		return p
	case <-time.After(30 * time.Second):
		t.Fatal("the search does not end")
		panic("unreachable")
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	f := testFinder(t, patient)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := Process{os.Getpid(), filepath.Base(executable)}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		server := deaf(t, address)
		for range 5 {
			_, local := connect(t, server)
			s, ok := f.Socket(local, server)
			if !ok || s.UID != uint32(unix.Getuid()) {
				t.Fatalf("Socket(%v, %v) = %+v, %t, want one of user %d", local, server, s, ok, unix.Getuid())
			}
			if got := process(t, f, s); got != want {
				t.Errorf("socket %v is held by %+v, want %+v", local, got, want)
			}
		}
	}
	if got := f.Stats(); got.Found != 10 {
		t.Errorf("counted %+v, want 10 found", got)
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
		if s, ok := f.Socket(local, server); ok {
			t.Errorf("%s is %+v", what, s)
		}
	}
	if s, ok := f.Socket(server, netip.MustParseAddrPort("127.0.0.1:1")); ok {
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
	searches := 0
	for searches < 100_000 {
		done := make(chan bool)
		if _, searching := f.Search(Socket{UID: 12345, inode: 1}, func(p Process) { done <- p != Process{} }); !searching {
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
	process(t, f, Socket{UID: 12346, inode: 1})
}

// A search that takes too long is cut short, and goes on for itself: the next one knows its
// results.
func TestSearchIsCutShort(t *testing.T) {
	f := testFinder(t, 0)
	server := deaf(t, "127.0.0.1:0")
	for range 2 * minLooks { // before the socket
		socket(t, unix.AF_INET)
	}
	_, local := connect(t, server)
	s, ok := f.Socket(local, server)
	if !ok {
		t.Fatal("no socket")
	}
	if got := process(t, f, s); got != (Process{}) || f.Stats().NotFound[Deadline] != 1 {
		t.Errorf("found %+v: %+v, want nothing in no time", got, f.Stats())
	}
	for deadline := time.Now().Add(30 * time.Second); process(t, f, s).PID != os.Getpid(); {
		if time.Now().After(deadline) {
			t.Fatal("never found")
		}
	}
}

// Only so many search at a time, and not all of them for one user.
func TestBusy(t *testing.T) {
	t.Parallel()
	f := &Finder{
		uid: 0, queue: make(chan *search, maxSearches), budgets: newBudgets(),
		running: make(map[uint32]int), stats: Stats{NotFound: make(map[Reason]uint64)},
	}
	began := 0
	for uid := range uint32(8) {
		ofOne := 0
		for range maxSearches {
			if _, searching := f.Search(Socket{UID: uid, inode: 1}, nil); searching {
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
	if _, searching := f.Search(Socket{UID: f.uid + 1, inode: 1}, nil); searching {
		t.Error("a search begins that cannot succeed")
	}
	if got := f.Stats().NotFound[Permission]; got != 1 {
		t.Errorf("%d were counted, want 1", got)
	}
}

// A process that has some connections at a time has the next ones under the same descriptors: few
// are read to find one.
func TestSameDescriptors(t *testing.T) {
	t.Parallel()
	p := newProcesses()
	var all []Socket
	for range maxOfProcess {
		fd := socket(t, unix.AF_INET)
		inode, err := socketInode(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), make([]byte, pathMax))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Socket{inode: inode})
	}
	looks := 0
	find := func() {
		for _, s := range all {
			clear(p.known) // found beside, in the search for the others
			if got, reason := p.search(s, func() bool { looks++; return true }); got.PID != os.Getpid() {
				t.Errorf("%+v is held by %+v (%s), want %d", s, got, reason, os.Getpid())
			}
		}
	}
	find()
	looks = 0
	find()
	if looks > maxOfProcess*maxOfProcess {
		t.Errorf("%d looks for %d sockets", looks, maxOfProcess)
	}
}

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	for last, want := range map[int][]int{0: {40, 30, 20, 10}, 25: {20, 10, 40, 30}, 40: {40, 30, 20, 10}} {
		pids := []int{10, 20, 30, 40}
		if newestFirst(pids, last); !slices.Equal(pids, want) {
			t.Errorf("after %d: %v, want %v", last, pids, want)
		}
	}
	if last := lastPID(); last <= 0 {
		t.Errorf("the last process is %d", last)
	}
}

// A recent result is found at once, by its descriptor, unless that holds something else now
// or the process executes another file.
func TestLast(t *testing.T) {
	t.Parallel()
	fd := socket(t, unix.AF_INET)
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	l := newLast()
	t.Cleanup(l.close)
	inode := inodeOf(t, fd)
	self := named{holder{7, os.Getpid(), strconv.Itoa(fd)}, exe, "test", inode}
	find := func() Process { p, _ := l.find(Socket{7, inode}); return p }
	l.add(self)
	if got := find(); got != (Process{os.Getpid(), "test"}) {
		t.Errorf("found %+v", got)
	}
	if p, _ := l.find(Socket{7, inode + 1}); p != (Process{}) {
		t.Errorf("another socket is held by %+v", p)
	}
	if p, _ := l.find(Socket{8, inode}); p != (Process{}) {
		t.Errorf("another user's socket is held by %+v", p)
	}
	other := self
	other.exe, other.name = "/bin/other", "other"
	l.add(other)
	if got := find(); got != (Process{}) {
		t.Errorf("found %+v, which executes another file", got)
	}
	for i := range uint32(2 * lastUsers) {
		for n := range 2 * lastOfUser {
			l.add(named{holder{i, self.pid, strconv.Itoa(n)}, exe, "test", 0})
		}
	}
	if len(l.users) > lastUsers || len(l.users[2*lastUsers-1]) != lastOfUser || len(l.processes) != 1 {
		t.Errorf("%d users are known, %d descriptors of one, and %d processes", len(l.users), len(l.users[2*lastUsers-1]), len(l.processes))
	}
}

// A process that has ended is forgotten, and so is one of many.
func TestLastForgets(t *testing.T) {
	t.Parallel()
	l := newLast()
	t.Cleanup(l.close)
	for range lastProcesses + 10 {
		child := exec.Command("sleep", "60")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
		pid := child.Process.Pid
		exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
		if err != nil {
			t.Fatal(err)
		}
		l.add(named{holder{7, pid, "0"}, exe, "sleep", 1})
		if len(l.processes) == 10 {
			before := len(l.processes)
			_ = child.Process.Kill()
			_ = child.Wait()
			for range 2 * before * maxClosed {
				if p, _ := l.find(Socket{7, 2}); p != (Process{}) {
					t.Errorf("found %+v", p)
				}
			}
			if len(l.users[7]) != 0 || len(l.processes) != before-1 {
				t.Errorf("%d descriptors and %d processes are known, none holds a socket and one has ended", len(l.users[7]), len(l.processes))
			}
		}
	}
	if len(l.processes) > lastProcesses {
		t.Errorf("%d processes are known", len(l.processes))
	}
}

// A process that has many connections open, and opens one after the other anew, is found by the few
// descriptors that are likely to be free.
func TestLastOfBusyProcess(t *testing.T) {
	t.Parallel()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	l := newLast()
	t.Cleanup(l.close)
	var fds []int
	for range 16 {
		fd := socket(t, unix.AF_INET)
		fds = append(fds, fd)
		l.add(named{holder{7, os.Getpid(), strconv.Itoa(fd)}, exe, "test", inodeOf(t, fd)})
	}
	const rounds = 10
	looks := 0
	for range rounds {
		for i, fd := range fds {
			fresh := socket(t, unix.AF_INET)
			if err := unix.Dup2(fresh, fd); err != nil { // as if it had been given the number
				t.Fatal(err)
			}
			s := Socket{7, inodeOf(t, fd)}
			p, n := l.find(s)
			if p.PID != os.Getpid() {
				t.Fatalf("descriptor %d of %d: found %+v", i, len(fds), p)
			}
			looks += n
		}
	}
	if found := rounds * len(fds); looks > 4*found {
		t.Errorf("%d looks for %d sockets", looks, found)
	}
}

func inodeOf(t *testing.T, fd int) uint32 {
	t.Helper()
	inode, err := socketInode(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), make([]byte, pathMax))
	if err != nil {
		t.Fatal(err)
	}
	return inode
}

// Neither a process with many connections nor a user drives the others out.
func TestRecent(t *testing.T) {
	t.Parallel()
	p := newProcesses()
	self, parent := os.Getpid(), os.Getppid()
	p.found(holder{0, parent, "3"})
	for i := range 10 * maxRecent {
		p.found(holder{1, self, strconv.Itoa(i)})
	}
	if len(p.recent) != maxOfProcess+1 {
		t.Errorf("%d holders, want %d of one process and one of another", len(p.recent), maxOfProcess)
	}
	if p.holds(holder{0, 1 << 22, "3"}, 1); len(p.recent) != maxOfProcess+1 { // no such process
		t.Errorf("%d holders are left", len(p.recent))
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

// A process may choose its own title: its name in records is that of its file.
func TestName(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	rename := func(name []byte) {
		if err := os.WriteFile("/proc/self/comm", name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defer rename(before)
	rename([]byte("sshd"))
	p := newProcesses()
	if _, got := p.name(os.Getpid()); got != filepath.Base(executable) {
		t.Errorf("the name is %q, want %q", got, filepath.Base(executable))
	}
}

func BenchmarkFind(b *testing.B) {
	f := testFinder(b, patient)
	server := deaf(b, "127.0.0.1:0")
	_, local := connect(b, server)
	b.ReportAllocs()
	b.Run("socket", func(b *testing.B) {
		for b.Loop() {
			if _, ok := f.Socket(local, server); !ok {
				b.Fatal("not found")
			}
		}
	})
	s, _ := f.Socket(local, server)
	b.Run("process", func(b *testing.B) {
		f.budgets.all.SetLimit(1e9)
		f.budgets.of(s.UID, time.Now()).SetLimit(1e9)
		for b.Loop() {
			process(b, f, s)
		}
	})
}
