package record

import (
	"bufio"
	"cmp"
	"errors"
	"slices"

	"syntap/cmd/internal/logfile"
)

// MaxLine is longer than any record in bytes: one of 64 segments with 512 bytes of headers each has
// 210 KiB.
const MaxLine = 512 << 10

// SeqOf returns the number of a record, which may be cut short behind it.
func SeqOf(line []byte) (uint64, bool) {
	var l Line
	l.Seek(line, Seq)
	return l.Seq()
}

// InOrder sorts the files of a log by their first records. The side files among them are left out.
func InOrder(files []string) ([]string, error) {
	files = slices.DeleteFunc(slices.Clone(files), logfile.IsSide)
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
	byFirst := func(a, b string) int { return cmp.Compare(first[a], first[b]) }
	return slices.SortedStableFunc(slices.Values(files), byFirst), nil
}

// FirstSeq returns the number of the first record of a file, 0 where there is none. It reads
// nothing out of a pipe.
func FirstSeq(file string) (uint64, error) {
	if logfile.IsStream(file) {
		return 0, nil
	}
	r, err := logfile.OpenRead(file)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	line, _ := bufio.NewReaderSize(r, MaxLine).ReadSlice('\n') // its errors are found when the file is read
	seq, _ := SeqOf(line)
	return seq, nil
}
