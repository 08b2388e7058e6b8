package chain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// Head says how far a chained log goes.
type Head struct {
	Time  time.Time
	Log   string        // path of the log
	Seq   uint64        // of its last record
	Hash  record.Digest // of that record
	Keyed bool          // the chain has a key
}

// headFile is one place that holds a head: the file beside a log, or a copy of it elsewhere. It is
// written in place, in one write of less than a sector, so that there is always a whole head in it.
type headFile struct {
	path string
	file *os.File // nil: it could not be opened
	info fs.FileInfo
	size int64
}

// appendHead appends a head as one line of JSON. Its last member, sum, is the digest of the bytes
// before it: without the key of a keyed chain it cannot be made.
func appendHead(dst []byte, c *record.Chain, h Head) []byte {
	begin := len(dst)
	dst = append(h.Time.UTC().AppendFormat(append(dst, `{"time":"`...), "2006-01-02T15:04:05.000000Z"), `","log":`...)
	dst = record.AppendString(dst, h.Log)
	dst = fmt.Appendf(dst, `,"seq":%d,"hash":"%x","keyed":%t`, h.Seq, h.Hash, h.Keyed)
	return fmt.Appendf(dst, `,"sum":"%x"}`+"\n", c.Sum(dst[begin:]))
}

// errHead says that a line is no head, errHeadAltered that it is another than was written, or of
// another chain.
var (
	errHead        = errors.New("it is not the head of a log")
	errHeadAltered = fmt.Errorf("%w as it was written, or with this key", errHead)
)

// ParseHead reads a line with a head. With a key its sum must be right.
func ParseHead(c *record.Chain, line []byte) (h Head, err error) {
	var v struct {
		Time           time.Time
		Log, Hash, Sum string
		Seq            uint64
		Keyed          bool
	}
	if json.Unmarshal(line, &v) != nil {
		return h, errHead
	}
	h = Head{Time: v.Time, Log: v.Log, Seq: v.Seq, Keyed: v.Keyed}
	var sum record.Digest
	if !h.Hash.Parse(v.Hash) || !sum.Parse(v.Sum) {
		return h, errHead
	}
	at := bytes.LastIndex(line, []byte(`,"sum":"`))
	if (c.Keyed || !h.Keyed) && (at < 0 || c.Sum(line[:at]) != sum || c.Keyed != h.Keyed) {
		return h, errHeadAltered
	}
	return h, nil
}

// ReadHeads reads the heads in a file, one on a line. A file that is not there, or empty, has none.
func ReadHeads(c *record.Chain, path string) (all []Head, err error) {
	for range 3 { // it may be written at this moment
		if all, err = tryHeads(c, path); !errors.Is(err, errHead) {
			break
		}
	}
	return all, err
}

func tryHeads(c *record.Chain, path string) (all []Head, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() { // nothing can be read back from a device
		return nil, err
	}
	const enough = 64 << 20
	b, err := io.ReadAll(io.LimitReader(f, enough))
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range bytes.Lines(b) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		h, err := ParseHead(c, line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		all = append(all, h)
	}
	return all, nil
}

// put writes a head in the place of the one before. A file that is gone is made anew.
func (h *headFile) put(line []byte) error {
	if err := h.open(); err != nil {
		return err
	}
	if !h.info.Mode().IsRegular() {
		_, err := h.file.Write(line)
		return err
	}
	if _, err := h.file.WriteAt(line, 0); err != nil {
		return err
	}
	longer := h.size > int64(len(line)) // the head before
	h.size = int64(len(line))
	if longer {
		return h.file.Truncate(h.size)
	}
	return nil
}

// open sees to it that the file is open under its name.
func (h *headFile) open() error {
	if h.file != nil {
		if now, err := os.Lstat(h.path); err == nil && os.SameFile(now, h.info) {
			return nil
		}
		h.close()
	}
	f, err := logfile.OpenShared(h.path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	h.file, h.info, h.size = f, info, info.Size()
	return nil
}

func (h *headFile) sync() error {
	if h.file == nil || !h.info.Mode().IsRegular() {
		return nil
	}
	return h.file.Sync()
}

func (h *headFile) close() {
	if h.file != nil {
		_ = h.file.Close() // it is synced, or about to be made anew
		h.file = nil
	}
}

// Has reports whether the record of a head is in a log.
func Has(path string, c *record.Chain, h Head) bool {
	files, err := logfile.Files(path)
	if err != nil {
		return false
	}
	for _, file := range slices.Backward(files) {
		seq, err := record.FirstSeq(file)
		if err != nil || seq == 0 || seq > h.Seq {
			continue
		}
		r, err := logfile.OpenRead(file)
		if err != nil {
			return false
		}
		found := false
		lines := bufio.NewReaderSize(r, record.MaxLine)
		for line, err := lines.ReadSlice('\n'); err == nil && !found; line, err = lines.ReadSlice('\n') {
			if seq, _ := record.SeqOf(line); seq == h.Seq {
				l, ok := record.LinkOf(bytes.TrimSuffix(line, []byte("\n")))
				found = ok && l.Hash == h.Hash && c.Sum(l.Text) == l.Hash
			}
		}
		r.Close()
		return found
	}
	return false
}
