package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"syntap/cmd/internal/record"
)

// Verified is what Verify has found out about a chained log.
type Verified struct {
	Files       int
	Records     uint64
	First, Last uint64 // numbers of records
	Hash        string // of the last record, in hex
	Breaks      []string
}

// maxBreaks bounds what is said about a log that is broken everywhere.
const maxBreaks = 100

// Verify checks the chain of a JSON log over all its files, in whatever order they are named, compressed or not. It finds
// records that were deleted, altered, moved or cut short, except at the end of the log: nothing says that there was more.
// An error is about a file that cannot be read at all.
func Verify(files []string, keyFile string) (Verified, error) {
	c, err := newChain(keyFile)
	if err != nil {
		return Verified{}, err
	}
	v := verifier{chain: c}
	files, err = InOrder(files)
	if err != nil {
		return Verified{}, err
	}
	for _, file := range files {
		if err := v.file(file); err != nil {
			return Verified{}, err
		}
	}
	v.Files = len(files)
	v.Hash = fmt.Sprintf("%x", v.last)
	if v.Records == 0 {
		v.Hash = ""
	}
	return v.Verified, nil
}

// InOrder sorts the files of a log by their first records. The side files among them are left out.
func InOrder(files []string) ([]string, error) {
	files = slices.DeleteFunc(slices.Clone(files), IsSide)
	if len(files) == 0 {
		return nil, errors.New("no logs among the files")
	}
	first := make(map[string]uint64)
	for _, file := range files {
		seq, err := FirstSeq(file)
		if err != nil {
			return nil, err
		}
		first[file] = seq
	}
	return slices.SortedStableFunc(slices.Values(files), func(a, b string) int { return cmp.Compare(first[a], first[b]) }), nil
}

// FirstSeq returns the number of the first record of a file, 0 where there is none.
func FirstSeq(file string) (uint64, error) {
	r, err := OpenRead(file)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	line, _ := bufio.NewReaderSize(r, maxLine).ReadSlice('\n') // what is wrong with it comes later
	if normal, ok := record.Normal(line); ok {
		line = normal
	}
	seq, _ := record.Number(record.Field(line, record.Seq))
	return seq, nil
}

// verifier goes through a log.
type verifier struct {
	Verified
	chain *chain
	last  digest // of the record before
}

func (v *verifier) broken(format string, args ...any) {
	if len(v.Breaks) < maxBreaks {
		v.Breaks = append(v.Breaks, fmt.Sprintf(format, args...))
	}
}

// maxLine is longer than any record; syntap's have at most some 30 KiB.
const maxLine = 128 << 10

func (v *verifier) file(name string) error {
	r, err := OpenRead(name)
	if err != nil {
		return err
	}
	defer r.Close()
	v.read(name, r)
	return nil
}

func (v *verifier) read(name string, r io.Reader) {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			v.check(name, line[:len(line)-1])
		case err == io.EOF && len(line) == 0:
			return
		case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, bufio.ErrBufferFull):
			v.broken("%s: cut short after seq %d", name, v.Last)
			return
		default: // damaged compression, or the disk
			v.broken("%s: cannot be read after seq %d: %v", name, v.Last, cause(err))
			return
		}
	}
}

func (v *verifier) check(file string, line []byte) {
	v.Records++
	seq, ok := record.Number(record.Field(line, record.Seq))
	if !ok {
		v.broken("%s: the line after seq %d is not a record", file, v.Last)
		return
	}
	l, chained := linkOf(line)
	first := v.Records == 1
	switch {
	case first:
		v.First = seq
	case seq <= v.Last:
		v.broken("%s: seq %d stands behind seq %d", file, seq, v.Last)
	case seq == v.Last+2:
		v.broken("%s: seq %d is missing", file, seq-1)
	case seq > v.Last+1:
		v.broken("%s: seq %d to %d are missing", file, v.Last+1, seq-1)
	}
	switch sum := v.chain.sum(l.text); {
	case !chained:
		v.broken("%s: seq %d is not part of a chain", file, seq)
	case sum != l.hash:
		v.broken("%s: seq %d was altered, or written with another key", file, seq)
	case !first && seq == v.Last+1 && l.prev != v.last:
		v.broken("%s: seq %d does not follow the seq %d that is there", file, seq, v.Last)
	}
	v.Last, v.last = seq, l.hash
}

// chained reports whether a record is part of a chain.
func chained(line []byte) bool {
	_, ok := linkOf(bytes.TrimSuffix(line, []byte("\n")))
	return ok
}
