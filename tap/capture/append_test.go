package capture_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"syntap/tap/capture"
)

// A file cut anywhere can be cut back to whole blocks and continued with a new section.
func TestAppendOffset(t *testing.T) {
	t.Parallel()
	data := writeSample(t, time.Nanosecond)
	whole, err := readAll(t, data)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 4; cut <= len(data); cut++ {
		offset, err := capture.AppendOffset(bytes.NewReader(data[:cut]))
		if err != nil || offset > int64(cut) {
			t.Fatalf("cut at %d: offset %d, error %v", cut, offset, err)
		}
		var before []capture.Packet
		if offset > 0 {
			if before, err = readAll(t, data[:offset]); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		after, err := readAll(t, append(data[:offset:offset], data...))
		if err != nil || len(after) != len(before)+len(whole) {
			t.Fatalf("cut at %d: %d packets and %d more make %d: %v", cut, len(before), len(whole), len(after), err)
		}
	}
	if offset, err := capture.AppendOffset(bytes.NewReader(data)); err != nil || offset != int64(len(data)) {
		t.Errorf("whole file: offset %d of %d, error %v", offset, len(data), err)
	}
}

func TestAppendOffsetRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"pcap", little().pcapHeader(0xa1b2c3d4, 4, 1).b, "not a pcapng file"},
		{"text", []byte("no capture\n"), "not a pcapng file"},
		{"garbage behind", append(little().section().b, "garbage garbage garbage"...), "read block at offset 28: block length 543516513 is not possible"},
	}
	for _, tt := range tests {
		if _, err := capture.AppendOffset(bytes.NewReader(tt.in)); fmt.Sprint(err) != tt.want {
			t.Errorf("%s: error = %v\nwant    %s", tt.name, err, tt.want)
		}
	}
	if offset, err := capture.AppendOffset(bytes.NewReader(nil)); offset != 0 || err != nil {
		t.Errorf("empty file: offset %d, error %v", offset, err)
	}
}
