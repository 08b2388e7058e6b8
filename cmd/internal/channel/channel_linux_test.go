package channel

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns both ends of a channel.
func pair(t *testing.T) (a, b Conn) {
	t.Helper()
	a, file, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	fd, err := unix.Dup(int(file.Fd()))
	_ = file.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = Open(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return a, b
}

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestFiles has a message bring a file, which a receiver that takes none does not get.
func TestFiles(t *testing.T) {
	a, b := pair(t)
	for range 2 {
		if err := a.Send("text", os.Stdin); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	files, err := b.Receive(&got)
	if err != nil || got != "text" || len(files) != 1 {
		t.Errorf("received %q, %d files, %v; want text and one file", got, len(files), err)
	}
	for _, f := range files {
		_ = f.Close()
	}
	before := descriptors(t)
	got = ""
	if err := b.ReceiveText(make([]byte, 100), &got); err != nil || got != "text" {
		t.Errorf("received %q, %v; want text", got, err)
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, want %d", after, before)
	}
}

// TestHostile sends messages that no part of the program does.
func TestHostile(t *testing.T) {
	a, b := pair(t)
	before := descriptors(t)
	for _, message := range []any{strings.Repeat("x", 200), map[string]string{}, []int{1}} {
		if err := a.Send(message, os.Stdin); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := b.ReceiveText(make([]byte, 100), &got); err == nil {
			t.Errorf("%v is taken as %q", message, got)
		}
		if _, ok := message.(string); ok {
			continue // Receive has room for it
		}
		if err := a.Send(message, os.Stdin); err != nil {
			t.Fatal(err)
		}
		if files, err := b.Receive(&got); err == nil || len(files) > 0 {
			t.Errorf("%v is taken as %q, with %d files", message, got, len(files))
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, want %d", after, before)
	}
}

// TestEnd closes an end.
func TestEnd(t *testing.T) {
	a, b := pair(t)
	a.Close()
	var got string
	if _, err := b.Receive(&got); !errors.Is(err, io.EOF) {
		t.Errorf("receive at the end: %v", err)
	}
}
