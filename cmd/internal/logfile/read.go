package logfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"syntap/cmd/internal/hint"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// IsStream reports whether a file can be read once only: a pipe, such as a shell makes for
// <(COMMAND), or a device.
func IsStream(path string) bool {
	if path == Stdin {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// OpenRead opens a log to read it, decompressed. A file that has been compressed since it was
// listed is found.
func OpenRead(path string) (io.ReadCloser, error) {
	if path == Stdin {
		return openStdin()
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, gzipSuffix) {
		if z, gzErr := os.Open(path + gzipSuffix); !errors.Is(gzErr, fs.ErrNotExist) {
			f, path, err = z, path+gzipSuffix, gzErr
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		err = hint.Fail(err, "read it as root, or as a member of its group")
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, gzipSuffix) {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "decompress", Path: path, Err: err}
	}
	return &compressed{Reader: z, file: f}, nil
}

// openStdin returns standard input, decompressed if it begins as gzip does (RFC 1952 §2.3.1).
func openStdin() (io.ReadCloser, error) {
	in := bufio.NewReader(os.Stdin)
	if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
		return io.NopCloser(in), nil
	}
	return gzip.NewReader(in)
}

// compressed is a decompressed file.
type compressed struct {
	*gzip.Reader
	file *os.File
}

func (c *compressed) Close() error { return errors.Join(c.Reader.Close(), c.file.Close()) }

// maxTail is the longest last line that Tail looks for, in bytes.
const maxTail = 16 << 20

// Tail returns the last whole line of f, the bytes behind it, and the size of f.
func Tail(f *os.File) (last, broken []byte, size int64, err error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil, 0, err
	}
	size = info.Size()
	for n := min(size, 1<<16); ; n = min(size, 2*n) {
		b := make([]byte, n)
		if _, err := f.ReadAt(b, size-n); err != nil && err != io.EOF {
			return nil, nil, 0, err
		}
		end := bytes.LastIndexByte(b, '\n')
		begin := bytes.LastIndexByte(b[:max(end, 0)], '\n')
		switch {
		case n == size && end < 0:
			return nil, b, size, nil
		case n == size || begin >= 0:
			return b[begin+1 : end], b[end+1:], size, nil
		case n >= maxTail:
			return nil, nil, 0, fmt.Errorf("its last line is longer than %d bytes", maxTail)
		}
	}
}

// EndText ends a broken last line, so that the next one stands by itself. It is Options.Repair of
// text.
func EndText(f *os.File) error {
	_, broken, _, err := Tail(f)
	if err == nil && len(broken) > 0 {
		_, err = f.Write([]byte("\n"))
	}
	return err
}

// LastLine returns the last whole line of a log's file, which may be compressed; nil where there is
// none.
func LastLine(path string) []byte {
	f, err := OpenRead(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if plain, ok := f.(*os.File); ok {
		last, _, _, err := Tail(plain)
		if err != nil {
			return nil
		}
		return last
	}
	return lastLine(f)
}

// lastLine reads to the end and returns the last whole line.
func lastLine(r io.Reader) (last []byte) {
	lines := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			last = append(last[:0], line[:len(line)-1]...)
		case errors.Is(err, bufio.ErrBufferFull): // longer than any of ours
			return nil
		default:
			return last
		}
	}
}
