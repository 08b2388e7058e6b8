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

	"github.com/klauspost/compress/zstd"

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

// OpenRead opens a log to read it, decompressed if it begins as gzip or zstd do. A file that has
// been compressed since it was listed is found.
func OpenRead(path string) (io.ReadCloser, error) {
	if path == Stdin {
		in := bufio.NewReader(os.Stdin)
		magic, _ := in.Peek(magicLength) // errors come when it is read
		return decompress("standard input", io.NopCloser(in), magic)
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
	magic := make([]byte, magicLength)
	n, _ := f.ReadAt(magic, 0) // nothing of a pipe
	return decompress(path, f, magic[:n])
}

// magicLength is how many bytes tell how a file is compressed.
const magicLength = 6

// decompress returns the content of f, which begins with magic. It closes f where it fails.
func decompress(name string, f io.ReadCloser, magic []byte) (io.ReadCloser, error) {
	begins := func(with string) bool { return strings.HasPrefix(string(magic), with) }
	var plain io.Reader
	var err error
	program := ""
	switch {
	case begins("\x1f\x8b"): // RFC 1952 §2.3.1
		plain, err = gzip.NewReader(f)
	case begins("\x28\xb5\x2f\xfd"): // RFC 8878 §3.1.1
		const window = 128 << 20 // "zstd --long=27"
		// Half of the memory would have each block of 128 KiB move a whole window.
		options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(false)}
		plain, err = zstd.NewReader(f, options...)
	case begins("\xfd7zXZ\x00"):
		program = "xz"
	case begins("BZh"):
		program = "bzip2"
	case begins("\x04\x22\x4d\x18"):
		program = "lz4"
	default:
		return f, nil
	}
	if program != "" {
		err = hint.Fail(fmt.Errorf("%s: compressed with %s", name, program),
			fmt.Sprintf(`"%s -dc FILE | syntap log -" reads it`, program))
	} else if err != nil {
		err = &fs.PathError{Op: "decompress", Path: name, Err: cutShort(err)}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &compressed{name: name, plain: plain, file: f}, nil
}

// compressed is a decompressed file.
type compressed struct {
	name  string
	plain io.Reader
	file  io.Closer
}

func (c *compressed) Read(b []byte) (int, error) {
	n, err := c.plain.Read(b)
	if err != nil && err != io.EOF {
		err = &fs.PathError{Op: "decompress", Path: c.name, Err: cutShort(err)}
	}
	return n, err
}

func (c *compressed) Close() error {
	if z, ok := c.plain.(*zstd.Decoder); ok {
		z.Close()
	}
	return c.file.Close()
}

// ErrCutShort is the end of a compressed file before its content's.
var ErrCutShort = errors.New("the file is cut short")

func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
		return ErrCutShort
	}
	return err
}

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
