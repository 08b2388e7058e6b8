package owner

import (
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// testLast is a last that knows this process, as the holder of a socket of user 7.
func testLast(t *testing.T) (l *last, self holder, s Socket) {
	t.Helper()
	l = new(last)
	*l = newLast()
	t.Cleanup(l.close)
	fd := socket(t, unix.AF_INET)
	p := openProcess(os.Getpid(), l.buf[:])
	if p == nil {
		t.Fatal("cannot open this process")
	}
	self, s = holder{process: p, fd: fd, fresh: true}, Socket{UID: 7, inode: p.look(fd, l.buf[:])}
	l.add(self, s)
	return l, self, s
}

func same(a, b holder) bool { return a.process == b.process && a.fd == b.fd }

// A socket is found under the descriptor that held it before, the one that held another, and the
// next one; not that of another user.
func TestLast(t *testing.T) {
	t.Parallel()
	l, self, s := testLast(t)
	if h, _ := l.find(s, looksAtLast, false); !same(h, self) || l.confirm(h, s) != Found {
		t.Errorf("found %+v, want %+v", h, self)
	}
	if h, _ := l.find(Socket{UID: 7, inode: s.inode + 1<<20}, looksAtLast, false); h.process != nil {
		t.Errorf("a socket that is not there is held by %+v", h)
	}
	if h, _ := l.find(Socket{UID: 8, inode: s.inode}, looksAtLast, false); h.process != nil {
		t.Errorf("another user's socket is held by %+v", h)
	}
	if reason := l.confirm(self, Socket{UID: 7, inode: s.inode + 1<<20}); reason != Ended {
		t.Errorf("a holder of another socket: %q", reason)
	}
	fresh := socket(t, unix.AF_INET)
	if err := unix.Dup2(fresh, self.fd); err != nil { // as if it had been given the number
		t.Fatal(err)
	}
	again := Socket{UID: 7, inode: self.look(self.fd, l.buf[:])}
	if h, looks := l.find(again, looksAtLast, false); !same(h, self) || looks > 3 {
		t.Errorf("after %d looks found %+v, want %+v", looks, h, self)
	}
	high := self.fd + 1000
	if err := unix.Dup2(fresh, high); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(high) })
	l.add(holder{process: self.process, fd: high - 1}, Socket{UID: 7, inode: 1})
	if h, _ := l.find(again, looksAtLast, false); h.process == nil {
		t.Error("not found at the next descriptor, nor where it was")
	}
}

// A process that has many connections open, and opens one after the other anew, is found by the few
// descriptors that are likely to be free; and so is one that opens more and more.
func TestLastOfBusyProcess(t *testing.T) {
	t.Parallel()
	requireFiles(t, 4096)
	l, self, _ := testLast(t)
	var fds []int
	for range 16 {
		fd := socket(t, unix.AF_INET)
		fds = append(fds, fd)
		l.add(holder{process: self.process, fd: fd}, Socket{UID: 7, inode: self.look(fd, l.buf[:])})
	}
	const rounds = 10
	looks := 0
	expect := func(fd int) {
		t.Helper()
		s := Socket{UID: 7, inode: self.look(fd, l.buf[:])}
		h, n := l.find(s, looksAtLast, false)
		if !same(h, holder{process: self.process, fd: fd}) {
			t.Fatalf("found %+v, want descriptor %d", h, fd)
		}
		l.add(h, s)
		looks += n
	}
	for range rounds {
		for _, fd := range fds {
			if err := unix.Dup2(socket(t, unix.AF_INET), fd); err != nil {
				t.Fatal(err)
			}
			expect(fd)
		}
	}
	if found := rounds * len(fds); looks > 4*found {
		t.Errorf("%d looks for %d sockets", looks, found)
	}
	looks = 0
	const more = 100
	for i := range more {
		fd := 2000 + i
		if err := unix.Dup2(socket(t, unix.AF_INET), fd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if i == 0 {
			l.add(holder{process: self.process, fd: fd}, Socket{UID: 7, inode: self.look(fd, l.buf[:])})
			continue
		}
		expect(fd)
	}
	if looks > 3*more {
		t.Errorf("%d looks for %d sockets", looks, more)
	}
}

// The next socket of a process that has ended some of its connections is found at once, under the
// lowest descriptor of these; also where one of them only had its FIN sent, and is still open.
func TestLastAfterClosed(t *testing.T) {
	t.Parallel()
	l, self, _ := testLast(t)
	var fds []int
	client := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(1+i)) }
	for range 16 {
		fds = append(fds, socket(t, unix.AF_INET))
	}
	slices.Sort(fds)
	for i, fd := range fds {
		s := Socket{UID: 7, inode: self.look(fd, l.buf[:]), client: client(i)}
		l.add(holder{process: self.process, fd: fd}, s)
	}
	var ends uint64
	expect := func(opened, looks int) {
		t.Helper()
		if err := unix.Dup2(socket(t, unix.AF_INET), fds[opened]); err != nil {
			t.Fatal(err)
		}
		s := Socket{UID: 7, inode: self.look(fds[opened], l.buf[:]), client: client(100 + opened), ends: ends}
		h, n := l.find(s, looksAtLast, false)
		if !same(h, holder{process: self.process, fd: fds[opened]}) || n != looks {
			t.Errorf("after %d looks found %+v, want descriptor %d after %d", n, h, fds[opened], looks)
		}
		l.add(h, s)
	}
	for _, ended := range []int{9, 3, 15} {
		l.closed(client(ended), l.ends+1)
	}
	ends = l.ends
	l.closed(client(0), l.ends+1)          // while the sockets wait to be searched for
	for _, next := range []int{3, 9, 15} { // lower descriptors were given out first
		expect(next, 1)
	}
	l.closed(client(4), l.ends+1) // is still open
	l.closed(client(11), l.ends+1)
	ends = l.ends
	expect(0, 1)
	expect(11, 2)
	l.closed(client(500), l.ends+1) // of another machine
	if l.forget(self.process); len(l.clients) != 0 {
		t.Errorf("%d clients are known of no process", len(l.clients))
	}
}

// Where the FIN of a connection is read behind the SYN of the next one under its descriptor, as by
// another queue, that one is found at once, too. Where it is not read at all, all looks are for the
// process, unless the user's others have opened something lately.
func TestLastBeforeClosed(t *testing.T) {
	t.Parallel()
	l, self, _ := testLast(t)
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	other := openProcess(child.Process.Pid, l.buf[:])
	if other == nil {
		t.Fatal("cannot open a process")
	}
	l.add(holder{process: other, fd: 3}, Socket{UID: 7, inode: 1})
	client := func(i int) netip.AddrPort { return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(1+i)) }
	var fds []int
	for range 8 {
		fds = append(fds, socket(t, unix.AF_INET))
	}
	slices.Sort(fds)
	for i := range fds {
		l.add(holder{process: self.process, fd: fds[i]}, Socket{UID: 7, inode: self.look(fds[i], l.buf[:]), client: client(i)})
	}
	find := func(opened int) (found bool, looks int) {
		if err := unix.Dup2(socket(t, unix.AF_INET), fds[opened]); err != nil {
			t.Fatal(err)
		}
		s := Socket{UID: 7, inode: self.look(fds[opened], l.buf[:]), client: client(100 + opened)}
		h, n := l.find(s, looksAtLast, false)
		return same(h, holder{process: self.process, fd: fds[opened]}), n
	}
	for i := range 5 {
		l.closed(client(i), l.ends+1)
	}
	if found, looks := find(4); !found || looks > 5 {
		t.Errorf("behind a SYN: found %t after %d looks, want at most 5", found, looks)
	}
	if found, looks := find(6); found {
		t.Errorf("beside another process, without a FIN: found after %d looks", looks)
	}
	other.foundAt = time.Now().Add(-2 * time.Second)
	if found, looks := find(7); !found {
		t.Errorf("beside a process at rest, without a FIN: not found after %d looks", looks)
	}
}

// Of a process that has closed several descriptors all are looked at, although its user has other
// processes.
func TestLastOfSeveral(t *testing.T) {
	t.Parallel()
	l, self, _ := testLast(t)
	const clients = 6
	client := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1000+i))
	}
	var fds []int
	for i := range clients {
		fds = append(fds, socket(t, unix.AF_INET))
		l.add(holder{process: self.process, fd: fds[i]}, Socket{UID: 7, inode: self.look(fds[i], l.buf[:]), client: client(i)})
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	other := openProcess(child.Process.Pid, l.buf[:])
	if other == nil {
		t.Fatal("cannot open a process")
	}
	l.add(holder{process: other, fd: 3}, Socket{UID: 7, inode: 1})
	for i := range clients {
		l.closed(client(i), l.ends+1)
	}
	last := slices.Max(fds)
	if err := unix.Dup2(socket(t, unix.AF_INET), last); err != nil {
		t.Fatal(err)
	}
	h, _ := l.find(Socket{UID: 7, inode: self.look(last, l.buf[:]), ends: l.ends}, looksAtLast, false)
	if want := (holder{process: self.process, fd: last}); !same(h, want) {
		t.Errorf("found %+v, want %+v", h, want)
	}
}

// What is remembered is bounded, and a process that has ended is forgotten. The test counts the
// files of this process, so no other runs beside it.
func TestLastForgets(t *testing.T) {
	l, self, s := testLast(t)
	for uid := range uint32(2 * lastUsers) {
		l.add(holder{process: self.process, fd: 3}, Socket{UID: uid, inode: 1})
		if uid == lastUsers/2 {
			for fd := range 2 * lastDescriptors {
				l.add(holder{process: self.process, fd: fd}, Socket{UID: uid, inode: 1})
			}
			if len(self.fds) != lastDescriptors {
				t.Errorf("%d descriptors are known", len(self.fds))
			}
		}
	}
	if len(l.users) > lastUsers {
		t.Errorf("%d users are known", len(l.users))
	}
	l.close()
	for i := range lastProcesses + 10 {
		child := exec.Command("sleep", "60")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
		p := openProcess(child.Process.Pid, l.buf[:])
		if p == nil {
			t.Fatal("cannot open a process")
		}
		l.add(holder{process: p}, s)
		if i == 10 {
			_ = child.Process.Kill()
			_ = child.Wait()
			for range 10 {
				if h, _ := l.find(Socket{UID: s.UID, inode: s.inode + 1<<20}, looksToGuess, false); h.process != nil {
					t.Errorf("found %+v", h)
				}
			}
			if l.known(p.PID) != nil || len(l.processes) != i || len(l.users[s.UID]) != i {
				t.Errorf("%d processes are known, one has ended", len(l.processes))
			}
		}
	}
	if len(l.processes) > lastProcesses || len(l.users[s.UID]) > lastOfUser {
		t.Errorf("%d processes are known, %d of a user", len(l.processes), len(l.users[s.UID]))
	}
	before := descriptors(t)
	l.close()
	if left := before - descriptors(t); left < lastProcesses {
		t.Errorf("forgetting %d processes closed %d files", lastProcesses, left)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Of a process that has executed another file the new one is named.
func TestExecute(t *testing.T) {
	t.Parallel()
	l, _, _ := testLast(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	child := exec.Command("sh", "-c", "read line; exec sleep 60")
	child.Stdin = r
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	p := openProcess(child.Process.Pid, l.buf[:])
	if p == nil || p.parent != os.Getpid() {
		t.Fatalf("the process is %+v, want a child of %d", p, os.Getpid())
	}
	t.Cleanup(p.close)
	before := p.Exe
	_ = w.Close()
	tuntest.Wait(t, "another file to be executed", func() bool { return p.refresh(Socket{}, l.buf[:]) && p.Exe != before })
	if want, _ := exec.LookPath("sleep"); p.Name != "sleep" && want != "" {
		t.Errorf("the process is %+v, want sleep", p.Process)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if p.refresh(Socket{}, l.buf[:]) {
		t.Error("a process goes on that has ended")
	}
}

// The executable of a process has its path also when the file is gone.
func TestDeletedExecutable(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone", "named (deleted)"} {
		path := t.TempDir() + "/" + name
		tuntest.WriteProgram(t, path, program)
		child := exec.Command(path, "60")
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
		for _, gone := range []bool{false, true} {
			if gone {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			p := openProcess(child.Process.Pid, make([]byte, bufferSize))
			if p == nil {
				t.Fatal("cannot open a process")
			}
			if p.Exe != path || p.Name != name {
				t.Errorf("removed %t: the process executes %q, named %q, want %q", gone, p.Exe, p.Name, path)
			}
			p.close()
		}
	}
}

// A thread belongs to its process.
func TestThread(t *testing.T) {
	t.Parallel()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if p := openProcess(tid, make([]byte, bufferSize)); p != nil { // it may have ended
			if p.PID != os.Getpid() {
				t.Errorf("thread %d belongs to process %d, want %d", tid, p.PID, os.Getpid())
			}
			p.close()
		}
	}
}

// A process may choose its own title: its name in records is that of its file.
func TestName(t *testing.T) {
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
	p := openProcess(os.Getpid(), make([]byte, bufferSize))
	if p == nil {
		t.Fatal("cannot open this process")
	}
	defer p.close()
	if want, _ := os.Executable(); p.Exe != want || p.Name == "sshd" {
		t.Errorf("the process is %+v, want one that executes %q", p.Process, want)
	}
}
