package query

import (
	"bytes"
	"hash/maphash"
	"math"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// once sees to it that a record counts once, in however many of the files it stands: what has the
// same number and the same time is the same record. Only records are remembered whose numbers stand
// in a later file too: of the files of one log none.
type once struct {
	after []uint64 // by file: the least number in the files behind it
	high  uint64   // the greatest number so far
	seen  map[uint64]struct{}
	seed  maphash.Seed
}

// newOnce returns nil where there is one file: within it nothing is looked for.
func newOnce(files []string) *once {
	if len(files) < 2 {
		return nil
	}
	o := &once{after: make([]uint64, len(files)), seen: make(map[uint64]struct{}), seed: maphash.MakeSeed()}
	least := uint64(math.MaxUint64)
	for i := len(files) - 1; i >= 0; i-- {
		o.after[i] = least
		least = min(least, leastOf(files[i]))
	}
	return o
}

// mayCome reports whether a record may stand in a file behind the one that is read now.
func (o *once) mayCome(file int, seq uint64) bool {
	return o != nil && file >= 0 && o.after[file] <= seq
}

// leastOf returns the number of the first record of a file, which is its least.
func leastOf(file string) (seq uint64) {
	if logfile.IsStream(file) { // nothing is known of it, so all before it is remembered
		return 0
	}
	seq = math.MaxUint64
	_ = readAll([]string{file}, nil, func(run lineRun) bool { // errors come when the file is searched
		for line := range bytes.Lines(run.lines) {
			if n, _, ok := identity(line); ok {
				seq = n
				return false
			}
		}
		return true
	})
	return seq
}

// clear makes those of the lines empty that have been seen in a file before.
func (o *once) clear(file int, lines []byte) {
	for line := range bytes.Lines(lines) {
		seq, at, ok := identity(line)
		if !ok {
			continue
		}
		if seq <= o.high || seq >= o.after[file] {
			key := maphash.Comparable(o.seed, [2]any{seq, string(at)})
			if _, again := o.seen[key]; again {
				for i := range line[:len(line)-1] {
					line[i] = ' '
				}
				continue
			}
			if seq >= o.after[file] {
				o.seen[key] = struct{}{}
			}
		}
		o.high = max(o.high, seq)
	}
}

// identity returns the number and the time of a record.
func identity(line []byte) (seq uint64, at []byte, ok bool) {
	var l record.Line
	if l.Seek(line, record.Seq); l.Get(record.Time) == nil { // perhaps it stands behind the number
		l.Scan(bytes.TrimSpace(line))
	}
	seq, ok = l.Seq()
	return seq, l.Get(record.Time), ok
}
