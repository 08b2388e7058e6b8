package owner

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/flow"
)

// remote returns a Remote, for which a Finder of the test searches.
func remote(t *testing.T) *Remote {
	t.Helper()
	f := testFinder(t, patient)
	var r *Remote
	ask := func(questions []byte) bool {
		message := slices.Clone(questions)
		go func() { // r holds a lock while it asks
			reply := func(answer []byte) {
				if err := r.Take(answer); err != nil {
					t.Error(err)
				}
			}
			if err := f.Serve(message, reply); err != nil {
				t.Error(err)
			}
		}()
		return true
	}
	r, err := NewRemote(nil, ask, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
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

// Answers come to all questions when the other process is gone, and none is asked any more.
func TestRemoteIsLeft(t *testing.T) {
	t.Parallel()
	room := true
	r, err := NewRemote(nil, func([]byte) bool { return room }, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan Reason, 1)
	q := []Query{{Done: func(_ Process, why Reason) { done <- why }}}
	r.Search(q)
	room = false
	if r.Search(q[:1]); q[0].Searching || q[0].Reason != Failed {
		t.Errorf("a question without room has the reason %q", q[0].Reason)
	}
	room = true
	r.Leave()
	if why := <-done; why != Failed {
		t.Errorf("the reason is %q", why)
	}
	if r.Search(q[:1]); q[0].Searching || q[0].Reason != Failed {
		t.Errorf("a question to none has the reason %q", q[0].Reason)
	}
	_ = r.Close()
	if n := r.Stats().NotFound[Failed]; n != 3 {
		t.Errorf("%d were counted, want 3", n)
	}
}

// Questions of any number come in messages that a Finder takes; of more it takes none.
func TestManyQuestions(t *testing.T) {
	t.Parallel()
	f := testFinder(t, patient)
	f.lacks = []string{"all"} // so that none is searched for
	f.uid = 1 << 31
	var last []byte
	messages, answers := 0, 0
	r, err := NewRemote(nil, func(questions []byte) bool {
		messages++
		last = slices.Clone(questions)
		if err := f.Serve(questions, func([]byte) { answers++ }); err != nil {
			t.Error(err)
		}
		return true
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const questions = 2*maxQuestions + 1
	r.Search(make([]Query, questions))
	if messages != 3 || answers != questions {
		t.Errorf("%d messages have %d answers, want 3 with %d", messages, answers, questions)
	}
	if err := f.Serve(slices.Concat(slices.Repeat(last, maxQuestions), last), func([]byte) { answers++ }); err == nil || answers != questions {
		t.Errorf("too many questions at once: %v, and %d answers", err, answers-questions)
	}
}

// An answer that no Finder gives is an error.
func TestFalseAnswer(t *testing.T) {
	t.Parallel()
	r, err := NewRemote(nil, func([]byte) bool { return true }, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := []Query{{Done: func(Process, Reason) {}}}
	r.Search(q)
	right := appendAnswer(nil, &answer{id: 1})
	for name, message := range map[string][]byte{
		"to no question": appendAnswer(nil, &answer{id: 2}), "cut off": right[:len(right)-1], "too long": append(slices.Clone(right), 0),
	} {
		if err := r.Take(message); err == nil {
			t.Errorf("an answer that is %s is taken", name)
		}
	}
	if err := r.Take(right); err != nil {
		t.Error(err)
	}
	if err := r.Take(right); err == nil {
		t.Error("an answer is taken twice")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzServe has a router say anything: it is an error, or each question is answered once.
func FuzzServe(f *testing.F) {
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
		ids, _, _ := finder.read(message)
		answered := 0
		err = finder.Serve(message, func(b []byte) {
			answered++
			r := reader{b: b}
			if a := r.answer(); r.bad || len(r.b) > 0 || !slices.Contains(ids, a.id) || a.reason == Found {
				t.Errorf("a question is answered by %x", b)
			}
		})
		if err != nil && answered > 0 || err == nil && answered != len(ids) {
			t.Errorf("%d questions have %d answers, and the error %v", len(ids), answered, err)
		}
	})
}

// Questions and answers come as they are, and whatever else comes is no panic.
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
