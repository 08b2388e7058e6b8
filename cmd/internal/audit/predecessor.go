package audit

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// lastRotated returns the last record of a JSON log whose file is not there or empty: that of the
// youngest rotated file, ours or logrotate's. It returns nil for a log that has none. Files that
// cannot be read, or are something else, are no reason to refuse a log.
func lastRotated(path string) ([]byte, error) {
	r, base := rotationOf(path), filepath.Base(path)
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	type file struct {
		path    string
		written time.Time
	}
	var files []file
	for _, e := range entries {
		plain := strings.TrimSuffix(e.Name(), gzipSuffix)
		_, ours := r.stamp(plain)
		theirs := strings.HasPrefix(plain, base+".") || strings.HasPrefix(plain, base+"-")
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !ours && !theirs || IsSide(e.Name()) {
			continue
		}
		files = append(files, file{filepath.Join(r.dir, e.Name()), info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(b.written.Compare(a.written), cmp.Compare(b.path, a.path))
	})
	for _, f := range files {
		if last := lastRecord(f.path); last != nil {
			return last, nil
		}
	}
	return nil, nil
}

// lastRecord returns the last whole record of a file, nil where there is none.
func lastRecord(path string) (last []byte) {
	f, err := OpenRead(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if plain, ok := f.(*os.File); ok {
		if last, _, _, err = tail(plain); err != nil {
			return nil
		}
	} else {
		last = lastLine(f)
	}
	if _, ok := recordSeq(last); !ok {
		return nil
	}
	return last
}

// lastLine reads to the end and returns the last whole line.
func lastLine(r io.Reader) (last []byte) {
	lines := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			last = append(last[:0], line[:len(line)-1]...)
		case errors.Is(err, bufio.ErrBufferFull): // longer than any record of ours
			return nil
		default:
			return last
		}
	}
}

// IsSide reports whether a file is none of a log's but one that stands beside them: what vouches
// for the end of a log, how far a log has been sent, a file that is being compressed.
func IsSide(path string) bool {
	return slices.ContainsFunc([]string{headSuffix, ".fleet", gzipSuffix + unfinishedSuffix}, func(s string) bool { return strings.HasSuffix(path, s) })
}

// headSuffix is of the file that vouches for the end of a chained log.
const headSuffix = ".head"

// OpenRead opens a log to read it, decompressed. A file that has been compressed since it was
// listed is found.
func OpenRead(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, gzipSuffix) {
		if z, gzErr := os.Open(path + gzipSuffix); gzErr == nil {
			f, path, err = z, path+gzipSuffix, nil
		}
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

// compressed is a decompressed file.
type compressed struct {
	*gzip.Reader
	file *os.File
}

func (c *compressed) Close() error { return errors.Join(c.Reader.Close(), c.file.Close()) }
