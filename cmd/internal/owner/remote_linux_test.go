package owner

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/channel"
	"syntap/tun/flow"
)

// seqpacket returns the two ends of a socket that keeps messages apart.
func seqpacket(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	a, theirs, err := channel.Pair()
	if err == nil {
		t.Cleanup(func() { a.Close() })
		b, err = channel.Socket(theirs)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

// remote returns a Remote, whose Server ends with the test.
func remote(t *testing.T) *Remote {
	t.Helper()
	ours, theirs := seqpacket(t)
	served := make(chan error, 1)
	v := NewServer(testFinder(t, patient), theirs)
	go func() { served <- v.Serve() }()
	r, err := NewRemote(nil, ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

// A Remote finds the processes that a Finder finds, and counts them.
func TestRemote(t *testing.T) {
	r := remote(t)
	server := deaf(t, "127.0.0.1:0")
	const sockets, closed, rounds = 5, 3, 2
	for range rounds {
		var queries []Query
		found := make([]chan Process, sockets)
		for i := range sockets {
			fd, local := connect(t, server)
			s, ok := r.Socket(flow.TCP, local, server)
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
			r.Closed(local) // as if
		}
		r.Search(queries)
		for i, q := range queries {
			if !q.Searching {
				t.Fatalf("socket %d is not searched for: %q", i, q.Reason)
			}
			want := os.Getpid()
			if i == closed {
				want = 0
			}
			if p := <-found[i]; p.PID != want || want != 0 && p.Exe == "" {
				t.Errorf("socket %d of %d is held by %+v, want %d", i, sockets, p, want)
			}
		}
	}
	if s := r.Stats(); s.Found != rounds*(sockets-1) || s.NotFound[NotHeld]+s.NotFound[Permission] != rounds {
		t.Errorf("counted %+v", s)
	}
}

// Answers come to all questions when the other process has ended, and none is asked any more.
func TestRemoteIsLeft(t *testing.T) {
	t.Parallel()
	ours, theirs := seqpacket(t)
	r, err := NewRemote(nil, ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan Reason, 1)
	q := []Query{{Done: func(_ Process, why Reason) { done <- why }}}
	r.Search(q)
	theirs.Close()
	if why := <-done; why != Failed {
		t.Errorf("the reason is %q", why)
	}
	if r.Search(q[:1]); q[0].Reason != Failed {
		t.Errorf("a question to none has the reason %q", q[0].Reason)
	}
	_ = r.Close()
	if n := r.Stats().NotFound[Failed]; n != 2 {
		t.Errorf("%d were counted, want 2", n)
	}
}

// FuzzServer has a router say anything: the server ends with an error, or answers each question
// once.
func FuzzServer(f *testing.F) {
	q := question{1, Socket{UID: 7, inode: 8, cgroup: 9, ends: 10, rest: []uint32{11}, client: netip.MustParseAddrPort("[::1]:1")}}
	f.Add(appendQuestion(appendEnd(nil, q.client, 3), &q))
	f.Add(appendQuestion(appendQuestion(nil, &q), &q)[:70])
	f.Add([]byte{9})
	f.Fuzz(func(t *testing.T, message []byte) {
		finder, err := newFinder(nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer finder.Close()
		finder.lacks = []string{"all"} // so that nothing is searched for long
		finder.uid = 1 << 31
		v := NewServer(finder, nil)
		if err := v.take(message); err != nil {
			return
		}
		for _, a := range v.answers {
			r := reader{b: appendAnswer(nil, &a)}
			if got := r.answer(); r.bad || got != a {
				t.Errorf("%+v comes as %+v", a, got)
			}
		}
	})
}

// What a Remote asks and a Server answers come as they are, and whatever else comes is no panic.
func FuzzAnswer(f *testing.F) {
	a := answer{1, Shared, Process{PID: 2, Name: "n", Exe: "/e", Unit: "u", Container: "c"}}
	f.Add(appendAnswer(nil, &a))
	f.Fuzz(func(t *testing.T, message []byte) {
		r := reader{b: message}
		for len(r.b) > 0 {
			got := r.answer()
			if r.bad {
				return
			}
			again := reader{b: appendAnswer(nil, &got)}
			if same := again.answer(); len(got.process.Exe) <= maxText && slices.Max([]int{len(got.process.Name), len(got.process.Unit), len(got.process.Container)}) <= maxText && same != got {
				t.Errorf("%+v comes as %+v", got, same)
			}
		}
	})
}
