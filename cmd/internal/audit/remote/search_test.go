//go:build linux

package remote

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
	"syntap/tun/flow"
	"syntap/tun/tuntest"
)

// asking is a datagram whose record asks for the owner.
func asking(port uint16) *record.AttributedDatagram {
	d := begun(port)
	d.Opening.Owner = &record.Owner{UID: 1000}
	d.Question = []byte("who?")
	return d
}

// A record that asks for an owner is written when the search has ended, with its result, and the
// end of the flow behind it. A datagram waits for that.
func TestSearch(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{Queue: 1, Reserve: 1})
	found := make(chan func(*record.Owner, uint8), 2)
	r := k.router(sizes(), Options{Search: func(question []byte, done func(*record.Owner, uint8)) error {
		if !bytes.Equal(question, []byte("who?")) {
			t.Errorf("the question is %q", question)
		}
		found <- done
		return nil
	}})
	results := make(chan uint8, 2)
	r.OnSearched(func(result uint8) { results <- result })
	a, b := asking(1), asking(2)
	r.Datagram(a)
	r.Datagram(b)
	first, second := <-found, <-found
	r.Flow(answered(a)) // on_full may let a datagram pass before its record
	r.Datagram(begun(3))
	r.waitPassed(t, 3)
	if admitted := r.DatagramAdmission(time.Now()); admitted == flow.Admit {
		t.Error("a datagram is admitted to a log with room for two records, which searches hold")
	}
	second(&record.Owner{UID: 1000, PID: 5, Process: "dig"}, 0)
	r.waitPassed(t, 3, 2)
	first(nil, 4)
	r.waitPassed(t, 3, 2, 1)
	if got := []uint8{<-results, <-results}; !slices.Equal(got, []uint8{0, 4}) {
		t.Errorf("the results are %v, want 0 and 4", got)
	}
	if err := errors.Join(r.stop(), <-r.result, k.stop()); err != nil {
		t.Error(err)
	}
	type line struct{ msg, process, port any }
	var got []line
	for _, l := range k.disk.lines() {
		if l["msg"] == "gap" { // of the datagram that was not admitted
			continue
		}
		got = append(got, line{l["msg"], l["process"], l["sport"]})
	}
	want := []line{
		{"datagram", nil, 3.0}, {"datagram", "dig", 2.0}, {"datagram", nil, 1.0}, {"flow", nil, 1.0}, {"end", nil, nil},
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log has %v, want %v", got, want)
	}
}

// A router that asks where none searches, or as none asks, lies.
func TestSearchOfLiar(t *testing.T) {
	t.Parallel()
	for name, search := range map[string]func([]byte, func(*record.Owner, uint8)) error{
		"no search": nil,
		"malformed": func([]byte, func(*record.Owner, uint8)) error { return errors.New("malformed") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, toJSON, audit.LogOptions{})
			r := k.router(sizes(), Options{Search: search})
			r.Datagram(asking(1))
			if err := <-r.result; !errors.Is(err, compact.ErrInvalid) {
				t.Errorf("the writer ends with %v", err)
			}
		})
	}
}

// A router that ends while a search goes on leaves its record.
func TestSearchOfDead(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{})
	found := make(chan func(*record.Owner, uint8), 1)
	r := k.router(sizes(), Options{Search: func(_ []byte, done func(*record.Owner, uint8)) error {
		found <- done
		return nil
	}})
	r.Datagram(asking(1))
	done := <-found
	_ = r.end.Close() // as when the process ends
	select {
	case err := <-r.result:
		t.Errorf("the writer has ended before the search: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	done(nil, 1)
	if err := <-r.result; err != nil {
		t.Error(err)
	}
	tuntest.Wait(t, "the record", func() bool { return len(k.disk.lines()) == 1 })
}

// A router sends nothing where no sink takes records, and no connection waits.
func TestNoSink(t *testing.T) {
	t.Parallel()
	k := &keeper{t: t, disk: new(disk), log: audit.NewLog(nil, audit.LogOptions{})}
	r := k.router(sizes(), Options{})
	a, d := opened(1), begun(2)
	r.Record(a)
	r.Datagram(d)
	r.Flow(closed(a))
	r.Flow(answered(d))
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.passed, []uint16{1, 2}) {
		t.Errorf("connections %v have passed at once", r.passed)
	}
	if r.messages != 0 || r.Stats().Records != 4 {
		t.Errorf("%d messages were sent for %d records", r.messages, r.Stats().Records)
	}
}

// Questions of a router come to the keeper as they are, and the answers back, until the keeper is
// gone.
func TestAsk(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, toJSON, audit.LogOptions{})
	r := k.router(sizes(), Options{Serve: func(questions []byte, reply func([]byte)) error {
		if !bytes.Equal(questions, []byte("who?")) {
			t.Errorf("the questions are %q", questions)
		}
		reply([]byte("one"))
		go reply([]byte("two"))
		return nil
	}})
	answers, left := make(chan string, 2), make(chan struct{})
	r.OnAnswered(func(answer []byte) error { answers <- string(answer); return nil }, func() { close(left) })
	if !r.Ask([]byte("who?")) {
		t.Fatal("there is no room for a question")
	}
	if a, b := <-answers, <-answers; a != "one" || b != "two" {
		t.Errorf("the answers are %q and %q", a, b)
	}
	_ = r.writer.Close() // as when the process ends
	<-left
	if err := <-r.done; !errors.Is(err, ErrKeeper) {
		t.Errorf("the router's log ends with %v", err)
	}
	if r.Ask([]byte("who?")) {
		t.Error("there is room for a question to none")
	}
}

// A router that asks where none answers, or as none asks, lies. So does a keeper that answers so.
func TestAskOfLiar(t *testing.T) {
	t.Parallel()
	malformed := errors.New("malformed")
	for name, serve := range map[string]func([]byte, func([]byte)) error{
		"no finder": nil,
		"malformed": func([]byte, func([]byte)) error { return malformed },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t, toJSON, audit.LogOptions{})
			r := k.router(sizes(), Options{Serve: serve})
			r.Ask([]byte("who?"))
			if err := <-r.result; !errors.Is(err, compact.ErrInvalid) {
				t.Errorf("the writer ends with %v", err)
			}
		})
	}
	t.Run("answer", func(t *testing.T) {
		t.Parallel()
		k := newKeeper(t, toJSON, audit.LogOptions{})
		r := k.router(sizes(), Options{Serve: func(_ []byte, reply func([]byte)) error { reply([]byte("?")); return nil }})
		r.OnAnswered(func([]byte) error { return malformed }, func() {})
		r.Ask([]byte("who?"))
		if err := <-r.done; !errors.Is(err, malformed) {
			t.Errorf("the router's log ends with %v", err)
		}
	})
}
