package inspect_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"syntap/stack/inspect"
)

// stream puts messages behind their lengths.
func stream(messages ...string) (b []byte) {
	for _, m := range messages {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

// A stream gives the same messages in pieces of any size. Of a long one only the beginning is kept.
func TestMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 10000)
	want := []string{"one", "", "a longer message", long, "last"}
	b := append(stream(want...), 0, 5, 'c', 'u', 't')
	for _, size := range []int{1, 2, 3, 7, 1000, 20000, len(b)} {
		var s inspect.Messages
		var got []string
		most := 0
		for piece := range slices.Chunk(b, size) {
			s.Take(piece, func(m []byte) { got = append(got, string(m)) })
			most = max(most, s.Kept())
		}
		if size == len(b) {
			if !slices.Equal(got, want) { // all of it is there
				t.Errorf("whole: %d messages", len(got))
			}
			continue
		}
		short := slices.Clone(want)
		short[3] = long[:16<<10]
		if len(got) != len(want) || got[3] != long && got[3] != short[3] {
			t.Fatalf("pieces of %d: %d messages, the long one of %d bytes", size, len(got), len(got[min(3, len(got)-1)]))
		}
		short[3] = got[3]
		if !slices.Equal(got, short) {
			t.Errorf("pieces of %d: %.20q", size, got)
		}
		if most > 40<<10 {
			t.Errorf("pieces of %d: %d bytes kept", size, most)
		}
	}
}

func TestMessagesKeepNothing(t *testing.T) {
	var s inspect.Messages
	b := stream(strings.Repeat("x", 300), "y")
	n := 0
	allocations := testing.AllocsPerRun(10, func() { s.Take(b, func([]byte) { n++ }) })
	if allocations > 0 || s.Kept() > 0 || n == 0 {
		t.Errorf("%v allocations, %d bytes kept, %d messages", allocations, s.Kept(), n)
	}
	s.Take(b[:100], func([]byte) {})
	s.Take(b[100:], func([]byte) {})
	if s.Kept() > 0 {
		t.Errorf("%d bytes kept", s.Kept())
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(stream("one", "two"), 1)
	f.Add(stream(strings.Repeat("x", 20000)), 999)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		if size <= 0 {
			return
		}
		var whole, pieces inspect.Messages
		var want, got [][]byte
		whole.Take(b, func(m []byte) { want = append(want, bytes.Clone(m)) })
		for piece := range slices.Chunk(b, size) {
			pieces.Take(piece, func(m []byte) { got = append(got, bytes.Clone(m)) })
		}
		if len(got) < len(want) {
			t.Fatalf("%d messages in pieces, %d in one", len(got), len(want))
		}
		for i := range want {
			if !bytes.HasPrefix(want[i], got[i]) || len(got[i]) < min(len(want[i]), 16<<10) {
				t.Fatalf("message %d: %d bytes of %d", i, len(got[i]), len(want[i]))
			}
		}
	})
}
