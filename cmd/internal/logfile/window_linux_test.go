package logfile_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/logfile"
)

// TestLongWindow reads files of a few bytes that say a byte again and again: a large window, which
// the file chooses, costs little more time than a small one.
func TestLongWindow(t *testing.T) {
	runtime.LockOSThread() // on which the decoder runs, too
	defer runtime.UnlockOSThread()
	took := func(windowLog int) time.Duration {
		const blocks, size = 1600, 128 << 10
		name := filepath.Join(t.TempDir(), "log.zst")
		if err := os.WriteFile(name, repeated(windowLog, blocks, size), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := logfile.OpenRead(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		began := threadTime(t)
		if n, err := io.Copy(io.Discard, f); n != blocks*size || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		return threadTime(t) - began
	}
	small, large := took(20), took(27)
	t.Logf("%v with a window of 1 MiB, %v with one of 128 MiB", small, large)
	if large > 8*small {
		t.Errorf("%v with a window of 128 MiB, want at most eight times the %v with one of 1 MiB", large, small)
	}
}

// repeated returns a frame of zstd with blocks of one byte, size times (RFC 8878 §3.1.1).
func repeated(windowLog, blocks, size int) []byte {
	b := bytes.NewBuffer([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(windowLog-10) << 3})
	for i := range blocks {
		const typeRLE = 1 << 1
		header := uint32(size<<3 | typeRLE)
		if i == blocks-1 {
			header |= 1
		}
		b.Write(binary.LittleEndian.AppendUint32(nil, header)[:3])
		b.WriteByte('a')
	}
	return b.Bytes()
}

func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
