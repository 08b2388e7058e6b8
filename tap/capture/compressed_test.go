package capture_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"syntap/tap/capture"
)

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCompressed reads captures that are compressed, whole and cut short, and names the program of
// others.
func TestCompressed(t *testing.T) {
	t.Parallel()
	f := little().pcapHeader(0xa1b2c3d4, 4, 101)
	for i := range uint32(1000) {
		f.pcapPacket(i, i*i, syn4(), 40)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := gzipped(t, f.b)
	twice := append(gzipped(t, f.b[:30000]), gzipped(t, f.b[30000:])...) // as "cat a.gz b.gz"
	for name, b := range map[string][]byte{
		"gzip": whole, "gzip in two parts": twice, "zstd": encoder.EncodeAll(f.b, nil),
		"pzstd": encoder.EncodeAll(f.b, []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}),
	} {
		packets, err := readAll(t, b)
		if err != nil || len(packets) != 1000 {
			t.Errorf("%s: %d packets, %v", name, len(packets), err)
		}
	}
	packets, err := readAll(t, whole[:len(whole)/2])
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(packets) == 0 {
		t.Errorf("gzip cut short: %d packets, %v", len(packets), err)
	}
	broken := bytes.Clone(whole)
	broken[len(broken)-6] ^= 1 // of the sum
	if packets, err := readAll(t, broken); err == nil || len(packets) != 1000 {
		t.Errorf("gzip with a wrong sum: %d packets, %v", len(packets), err)
	}
	for magic, want := range map[string]capture.CompressedError{
		"\xfd7zXZ\x00": "xz", "BZh91AY": "bzip2", "\x04\x22\x4d\x18dp": "lz4",
	} {
		_, err := readAll(t, []byte(magic))
		var got capture.CompressedError
		if !errors.As(err, &got) || got != want || !strings.Contains(err.Error(), "supported: gzip, zstd") {
			t.Errorf("%q: %v", magic, err)
		}
	}
}

// TestSkippedInterfaces passes over packets of interfaces that cannot be read, unless there are no
// others.
func TestSkippedInterfaces(t *testing.T) {
	t.Parallel()
	usb := make([]byte, 64)
	read := func(f *file) (*capture.Reader, int, error) {
		r, err := capture.NewReader(bytes.NewReader(f.b))
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			if _, err := r.Next(); err != nil {
				return r, n, err
			}
		}
	}
	several := little().section().iface(220, 0).iface(101, 0).enhanced(0, 1, usb, 64).enhanced(1, 2, syn4(), 40).enhanced(0, 3, usb, 64)
	r, n, err := read(several)
	if err != io.EOF || n != 1 || len(r.Skipped()) != 1 || r.Skipped()[220] != 2 {
		t.Errorf("%d packets, skipped %v, %v", n, r.Skipped(), err)
	}
	r, n, err = read(little().section().iface(220, 0).enhanced(0, 1, usb, 64))
	var link capture.LinkTypeError
	if !errors.As(err, &link) || link != 220 || n != 0 {
		t.Errorf("an interface of link type 220 only: %d packets, skipped %v, %v", n, r.Skipped(), err)
	}
	_, n, err = read(several.put([]byte{6, 0, 0, 0, 32, 0}))
	if err == nil || n != 1 || !strings.HasPrefix(err.Error(), "read packet 4 at offset") {
		t.Errorf("cut short behind skipped packets: %d packets, %v", n, err)
	}
}
