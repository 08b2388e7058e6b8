package channel

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// asked returns an asker and the other end of its stream, and the result of Listen.
func asked(t *testing.T) (*Asker, net.Conn, <-chan error) {
	t.Helper()
	ours, file, err := Stream()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Socket(file)
	if err != nil {
		t.Fatal(err)
	}
	a := NewAsker(ours, 1<<20)
	listened := make(chan error, 1)
	go func() { listened <- a.Listen() }()
	t.Cleanup(func() {
		theirs.Close()
		a.Close()
	})
	return a, theirs, listened
}

// TestAsk has many questions answered at once, in another order, by long texts and by errors.
func TestAsk(t *testing.T) {
	t.Parallel()
	a, theirs, listened := asked(t)
	answered := make(chan error, 1)
	first := make(chan struct{})
	go func() {
		answered <- Answer(theirs, func(kind byte) ([]byte, error) {
			switch kind {
			case 0:
				<-first
			case 7:
				close(first)
				return nil, errors.New("no")
			}
			return []byte(strings.Repeat(string(rune('a'+kind)), 100_000)), nil
		})
	}()
	var asking sync.WaitGroup
	for kind := range byte(8) {
		asking.Go(func() {
			text, err := a.Ask(t.Context(), kind)
			if kind == 7 {
				if err == nil || err.Error() != "no" {
					t.Errorf("question %d: %d bytes, %v", kind, len(text), err)
				}
			} else if err != nil || string(text) != strings.Repeat(string(rune('a'+kind)), 100_000) {
				t.Errorf("question %d: %d bytes, %v", kind, len(text), err)
			}
		})
	}
	asking.Wait()
	theirs.Close()
	if err := <-listened; err != nil {
		t.Errorf("at the end: %v", err)
	}
	if err := <-answered; err != nil {
		t.Errorf("at the end of answering: %v", err)
	}
	if _, err := a.Ask(t.Context(), 1); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAskSilent has a process answer nothing for a while: questions end with their time, do not
// pile up, and have their turn when it answers again.
func TestAskSilent(t *testing.T) {
	t.Parallel()
	a, theirs, _ := asked(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * maxQuestions {
		if _, err := a.Ask(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Fatalf("without an answer: %v", err)
		}
	}
	if n := len(a.waiting); n > maxQuestions {
		t.Errorf("%d questions wait", n)
	}
	var asking sync.WaitGroup
	for range 3 * maxQuestions {
		asking.Go(func() {
			if text, err := a.Ask(t.Context(), 2); err != nil || string(text) != "x" {
				t.Errorf("answer %q, %v", text, err)
			}
		})
	}
	answered := make(chan error, 1)
	go func() { answered <- Answer(theirs, func(byte) ([]byte, error) { return []byte("x"), nil }) }()
	asking.Wait()
	a.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestAskHostile has a process say anything but answers.
func TestAskHostile(t *testing.T) {
	t.Parallel()
	head := func(number uint64, failed byte, length uint32) []byte {
		return binary.LittleEndian.AppendUint32(append(binary.LittleEndian.AppendUint64(nil, number), failed), length)
	}
	for name, said := range map[string][]byte{
		"to no question": head(2, 0, 0), "too long": head(1, 0, 1<<20+1), "neither text nor error": head(1, 2, 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, theirs, listened := asked(t)
			got := make(chan error, 1)
			go func() {
				_, err := a.Ask(t.Context(), 1)
				got <- err
			}()
			if _, err := theirs.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if _, err := theirs.Write(said); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-listened:
				if err == nil {
					t.Error("it is taken for the end")
				}
			case <-time.After(tuntest.Patience):
				t.Error("the asker listens")
			}
			if err := <-got; !errors.Is(err, ErrEnded) {
				t.Errorf("the question: %v", err)
			}
		})
	}
}
