//go:build linux

package ring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// small rings are full soon.
var small = Sizes{ToKeeper: 1024, FromKeeper: 512, Waiting: 1 << 20}

// pair returns both ends of a pair of rings in this process.
func pair(t testing.TB, s Sizes) (keeper, router *End) {
	t.Helper()
	keeper, files, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	if router, err = Open(files, s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = keeper.Close(), router.Close() })
	return keeper, router
}

// TestMemory has the memory keep its size and, where the kernel knows that, be never executed:
// under vm.memfd_noexec=2 there is no other.
func TestMemory(t *testing.T) {
	t.Parallel()
	want := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if fd, err := unix.MemfdCreate("probe", unix.MFD_NOEXEC_SEAL); err == nil {
		_ = unix.Close(fd)
		want |= unix.F_SEAL_EXEC
	}
	keeper, files, err := New(small)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = keeper.Close(), files.Close() }()
	if seals, err := unix.FcntlInt(files.Memory.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&want != want {
		t.Errorf("the memory has the seals %#x, %v, want %#x", seals, err, want)
	}
}

// message is the nth of many, of different lengths.
func message(n int) []byte {
	return bytes.Repeat([]byte{byte(n)}, 1+n%300)
}

// receive takes count messages and then closes the end.
func receive(e *End, count int) error {
	n := 0
	stop := errors.New("enough")
	err := e.Receive(func(m []byte) error {
		if !bytes.Equal(m, message(n)) {
			return fmt.Errorf("message %d is %x", n, m)
		}
		if n++; n == count {
			return stop
		}
		return nil
	}, func() {})
	if errors.Is(err, stop) {
		return nil
	}
	return fmt.Errorf("after %d messages: %w", n, err)
}

// Messages come whole and in order, in both directions at once, however often the rings are full.
func TestOrder(t *testing.T) {
	t.Parallel()
	const count = 5000
	keeper, router := pair(t, small)
	var ends sync.WaitGroup
	for _, e := range []*End{keeper, router} {
		ends.Go(func() {
			for n := range count {
				for !e.Send(message(n)) {
					runtime.Gosched()
				}
			}
		})
		ends.Go(func() {
			n := 0
			err := e.Receive(func(m []byte) error {
				if !bytes.Equal(m, message(n)) {
					return fmt.Errorf("message %d is %x", n, m)
				}
				n++
				return nil
			}, func() {})
			if n < count {
				t.Errorf("%d of %d messages came: %v", n, count, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { ends.Wait(); close(done) }()
	tuntest.Wait(t, "all messages in both directions", func() bool {
		return keeper.in.read.Load() == sum(count) && router.in.read.Load() == sum(count)
	})
	_, _ = keeper.Close(), router.Close()
	<-done
}

// sum is how many bytes of a ring the first n messages take.
func sum(n int) (total uint64) {
	for i := range n {
		total += whole(len(message(i)))
	}
	return total
}

// A message that wakes no reader comes all the same.
func TestLater(t *testing.T) {
	t.Parallel()
	keeper, router := pair(t, small)
	came := make(chan struct{})
	go func() { _ = keeper.Receive(func([]byte) error { close(came); return nil }, func() {}) }()
	tuntest.Wait(t, "a reader that sleeps", func() bool { return keeper.in.asleep.Load() == 1 })
	if !router.SendLater([]byte("later")) {
		t.Error("there is no room")
	}
	select {
	case <-came:
	case <-time.After(tuntest.Patience):
		t.Error("the message does not come")
	}
}

// Where the ring is full messages wait, up to the bound, and come when there is room.
func TestFull(t *testing.T) {
	t.Parallel()
	keeper, router := pair(t, Sizes{ToKeeper: 1024, FromKeeper: 512, Waiting: 1000})
	sent := 0
	for router.Send(message(sent)) {
		sent++
	}
	if router.Waiting() == 0 || router.Waiting() > 1000 {
		t.Errorf("%d bytes wait, of at most 1000", router.Waiting())
	}
	go func() { _ = router.Receive(func([]byte) error { return nil }, func() {}) }()
	if err := receive(keeper, sent); err != nil {
		t.Error(err)
	}
	if !router.Send([]byte("more")) {
		t.Error("there is no room again")
	}
}

// What was sent before an end closed still comes, and a message that was begun does not.
func TestEnd(t *testing.T) {
	t.Parallel()
	keeper, router := pair(t, small)
	for n := range 3 {
		router.Send(message(n))
	}
	begun := router.out.at & router.out.mask()
	binary.NativeEndian.PutUint64(router.out.data[begun:], 100)
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	if router.Send([]byte("late")) {
		t.Error("a closed end sends")
	}
	n := 0
	err := keeper.Receive(func([]byte) error { n++; return nil }, func() {})
	if n != 3 || !errors.Is(err, io.EOF) {
		t.Errorf("%d messages, %v, want 3 and EOF", n, err)
	}
	if err := keeper.Close(); err != nil {
		t.Error(err)
	}
	if err := keeper.Receive(func([]byte) error { return nil }, func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed end receives: %v", err)
	}
}

// Close ends a Receive that waits.
func TestClose(t *testing.T) {
	t.Parallel()
	keeper, _ := pair(t, small)
	ended := make(chan error, 1)
	go func() { ended <- keeper.Receive(func([]byte) error { return nil }, func() {}) }()
	tuntest.Wait(t, "a reader that sleeps", func() bool { return keeper.in.asleep.Load() == 1 })
	if err := keeper.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Receive ends with %v", err)
	}
}

func TestBoard(t *testing.T) {
	t.Parallel()
	keeper, router := pair(t, small)
	for i := range boardWords {
		keeper.Post(i, math.MaxUint64-uint64(i))
		router.Post(i, uint64(i))
	}
	for i := range boardWords {
		if router.Posted(i) != math.MaxUint64-uint64(i) || keeper.Posted(i) != uint64(i) {
			t.Errorf("word %d: %d, %d", i, router.Posted(i), keeper.Posted(i))
		}
	}
}

// Neither end can make the memory smaller, under which the other would end.
func TestSealed(t *testing.T) {
	t.Parallel()
	keeper, files, err := New(small)
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	defer files.Close()
	for _, size := range []int64{0, 1 << 20} {
		if err := files.Memory.Truncate(size); err == nil {
			t.Errorf("the memory has %d bytes now", size)
		}
	}
}

// TestForged has an end meet bytes that no other end writes.
func TestForged(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(w *writer){
		"more bytes than the ring has": func(w *writer) { w.written.Store(2048) },
		"fewer than before":            func(w *writer) { w.written.Store(math.MaxUint64) },
		"half a word":                  func(w *writer) { w.written.Store(13) },
		"an endless message": func(w *writer) {
			binary.NativeEndian.PutUint64(w.data, math.MaxUint64)
			w.written.Store(64)
		},
		"a length that overflows": func(w *writer) {
			binary.NativeEndian.PutUint64(w.data, math.MaxInt64)
			w.written.Store(64)
		},
		"a message longer than what is there": func(w *writer) {
			binary.NativeEndian.PutUint64(w.data, 57)
			w.written.Store(64)
		},
		"an empty message": func(w *writer) { w.written.Store(64) },
	} {
		keeper, router := pair(t, small)
		forge(&router.out)
		err := keeper.Receive(func(m []byte) error { return fmt.Errorf("message %x", m) }, func() {})
		if !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	keeper, router := pair(t, small)
	router.in.read.Store(1 << 40) // more than was sent
	if keeper.Send([]byte("x")) {
		t.Error("an end sends into a ring of which the other has read more than there was")
	}
	if err := keeper.Receive(func([]byte) error { return nil }, func() {}); !errors.Is(err, ErrForged) {
		t.Errorf("a forged place of the reader: %v", err)
	}
}

// An end whose other one does not read, and fills the bell, does not block.
func TestDeaf(t *testing.T) {
	t.Parallel()
	keeper, router := pair(t, small)
	for router.in.asleep.Store(1); unix.Sendto(keeper.fd, []byte{1}, unix.MSG_DONTWAIT, nil) == nil; {
	}
	for n := 0; keeper.Send(message(n)); n++ {
		router.in.asleep.Store(1)
	}
}

// A process that is killed while it sends has sent whole messages, and the end of it is seen.
func TestKilled(t *testing.T) {
	t.Parallel()
	keeper, files, err := New(small)
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	child := start(t, files, "send")
	n := 0
	err = keeper.Receive(func(m []byte) error {
		if !bytes.Equal(m, message(n)) {
			return fmt.Errorf("message %d is %x", n, m)
		}
		if n++; n == 1000 {
			return child.Process.Kill()
		}
		return nil
	}, func() {})
	if n < 1000 || !errors.Is(err, io.EOF) {
		t.Errorf("%d messages, %v", n, err)
	}
	_ = child.Wait()
}

// role is the variable by which a process of this test knows its part: "send" sends without end,
// "echo" answers each message.
const role = "SYNTAP_RING_ROLE"

// start starts the other process of a test.
func start(t testing.TB, files *Files, as string) *exec.Cmd {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), role+"="+as)
	child.ExtraFiles = []*os.File{files.Memory, files.Bell}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	_ = files.Close()
	return child
}

func TestMain(m *testing.M) {
	as := os.Getenv(role)
	if as == "" {
		os.Exit(m.Run())
	}
	s := roomy
	if as == "send" {
		s = small
	}
	e, err := Open(&Files{os.NewFile(3, "memory"), os.NewFile(4, "bell")}, s)
	if err != nil {
		os.Exit(1)
	}
	if as == "send" {
		go func() {
			for n := 0; ; {
				if e.Send(message(n)) {
					n++
				} else {
					runtime.Gosched()
				}
			}
		}()
	} else {
		runtime.GOMAXPROCS(1)
	}
	_ = e.Receive(func(m []byte) error { e.Send(m[:9]); return nil }, func() {})
}

// FuzzMemory has an end read memory into which the other has written anything, and that goes on
// writing while it reads.
func FuzzMemory(f *testing.F) {
	f.Add(uint64(64), uint64(0), []byte{5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint64(1024), uint64(1), bytes.Repeat([]byte{1}, 1024))
	f.Fuzz(func(t *testing.T, written, read uint64, data []byte) {
		keeper, router := pair(t, small)
		copy(router.out.data, data)
		router.out.written.Store(written)
		router.in.read.Store(read)
		stop := make(chan struct{})
		var scribbling sync.WaitGroup
		scribbling.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					router.out.data[i%len(router.out.data)] ^= byte(i)
				}
			}
		})
		_ = unix.Shutdown(router.fd, unix.SHUT_RDWR)
		_ = keeper.Receive(func(m []byte) error {
			if len(m) == 0 || len(m) > len(keeper.in.data) {
				t.Errorf("a message of %d bytes", len(m))
			}
			keeper.Send(m)
			return nil
		}, func() {})
		close(stop)
		scribbling.Wait()
	})
}

// BenchmarkEnd has the price of a message to another process and of one back, with a wake-up each,
// and among a hundred that are under way. cpu-ns is that of both processes.
func BenchmarkEnd(b *testing.B) {
	for name, together := range map[string]int{"alone": 1, "many": 100} {
		b.Run(name, func(b *testing.B) {
			end, files, err := New(roomy)
			if err != nil {
				b.Fatal(err)
			}
			child := start(b, files, "echo")
			back := make(chan struct{}, together)
			go func() { _ = end.Receive(func([]byte) error { back <- struct{}{}; return nil }, func() {}) }()
			m := make([]byte, 600)
			end.Send(m)
			<-back
			waiting, before := 0, cpu(b)
			for b.Loop() {
				if waiting == together {
					<-back
					waiting--
				}
				end.Send(m)
				waiting++
			}
			used := cpu(b) - before
			_, _ = end.Close(), child.Wait()
			used += child.ProcessState.UserTime() + child.ProcessState.SystemTime()
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/message")
		})
	}
}

// roomy rings are never full.
var roomy = Sizes{ToKeeper: 1 << 20, FromKeeper: 1 << 18, Waiting: 1 << 20}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
