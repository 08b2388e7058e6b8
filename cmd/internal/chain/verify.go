package chain

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// Verified is the result of Verify.
type Verified struct {
	Files       int
	Records     uint64
	First, Last uint64 // numbers of records
	Hash        string // of the last record, in hex
	Heads       int    // that the log agrees with
	Vouched     uint64 // number of the last record that one of them is of
	Keyed       bool   // the key was known
	Ended       bool   // the last run has ended in order
	Runs        []Run
	Breaks      []string
	Unproven    bool // the log was written with a key, and that is not known
	Unchained   bool // no record is part of a chain: only their numbers and counts were checked

	// Of VerifyLines only.
	Begins  bool   // the first record begins the chain
	Partial uint64 // records without all of their members, whose hash cannot be checked
}

// Verifying are the key and the heads that a log is compared with.
type Verifying struct {
	Key     string   // file of the key; "" = none
	Heads   []string // files with heads, beside those that lie beside the log
	Journal bool     // the heads in systemd's journal too
}

// maxBreaks bounds the report on a log that is broken everywhere.
const maxBreaks = 100

// Verify checks the chain of a JSON log over all its files, in whatever order they are named,
// compressed or not. It finds records that were deleted, altered, moved or cut short; at the end of
// the log by its heads. An error is about a file that cannot be read at all.
func Verify(ctx context.Context, files []string, o Verifying) (Verified, error) {
	c, err := Load(o.Key)
	if err != nil {
		return Verified{}, err
	}
	v := verifier{chain: c, wanted: make(map[uint64][]Witness)}
	v.Keyed = c.Keyed
	if err := v.findHeads(ctx, files, o); err != nil { // before the log is read: it may be written to
		return Verified{}, err
	}
	if files, err = record.InOrder(files); err != nil {
		return Verified{}, err
	}
	for _, file := range files {
		if err := v.file(file); err != nil {
			return Verified{}, err
		}
	}
	v.Files = len(files)
	v.judge()
	return v.Verified, nil
}

// verifier goes through a log.
type verifier struct {
	Verified
	chain   *record.Chain
	last    record.Digest // of the record before
	begins  bool          // the first record begins the chain
	rotated uint64        // rotation has removed records up to this number
	intact  int           // breaks before the present run
	foreign []string      // breaks of records that do not have their digest, as long as none has

	wanted map[uint64][]Witness // heads by number
	end    *Witness             // the one with the greatest
	keyed  bool                 // a head says that the chain has a key

	prefix   string // of breaks that are of no file
	late     bool   // the log may have lost its beginning, and records that it announces
	holes    []span // where numbers are missing, if late
	gone     []span // numbers of records that the log says some store never had
	before   int    // holes before the present run
	linked   bool   // a record is part of a chain
	unlinked []part // records that are not
}

// part is a part of a file.
type part struct {
	file string
	span
}

// span is numbers of records, the first and the last.
type span struct{ first, last uint64 }

// Witness is a head, and where it stands.
type Witness struct {
	Head
	Place string
	Line  bool // Hash is the SHA-256 of the line, as the note of a shipper has it
}

// when says when the head was made, if that is known.
func (w *Witness) when() string {
	if w.Time.IsZero() {
		return ""
	}
	return " on " + w.Time.UTC().Format(time.RFC3339)
}

// of reports whether a line is the one that the head is of.
func (w *Witness) of(line []byte, l *record.Link) bool {
	if w.Line {
		return w.Hash == sha256.Sum256(line)
	}
	return w.Hash == l.Hash
}

// broken takes a break. Lines without a number behind the same record are one.
func (v *verifier) broken(format string, args ...any) {
	text, n := fmt.Sprintf(format, args...), len(v.Breaks)
	if n < maxBreaks && (n == 0 || v.Breaks[n-1] != text) {
		v.Breaks = append(v.Breaks, text)
	}
}

func (v *verifier) file(name string) error {
	r, err := logfile.OpenRead(name)
	if err != nil {
		return err
	}
	defer r.Close()
	v.read(name, r)
	return nil
}

func (v *verifier) read(name string, r io.Reader) {
	lines := bufio.NewReaderSize(r, record.MaxLine)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			v.check(name, line[:len(line)-1])
			if len(line) == 1 {
				skipEmpty(lines)
			}
		case err == io.EOF && len(line) == 0:
			return
		case err == bufio.ErrBufferFull:
			v.broken("%s: %s is longer than any record", name, v.line())
			for err == bufio.ErrBufferFull {
				_, err = lines.ReadSlice('\n')
			}
		case err == io.EOF, errors.Is(err, logfile.ErrCutShort):
			v.broken("%s: cut short after seq %d", name, v.Last)
			return
		default: // damaged compression, or the disk
			v.broken("%s: cannot be read after seq %d: %v", name, v.Last, logfile.Cause(err))
			return
		}
	}
}

// skipEmpty passes over empty lines, of which a few bytes of a compressed file may be a million.
func skipEmpty(r *bufio.Reader) {
	for {
		b, _ := r.Peek(max(1, r.Buffered()))
		n := len(b) - len(bytes.TrimLeft(b, "\n"))
		_, _ = r.Discard(n) // they are in the buffer
		if n < len(b) || n == 0 {
			return
		}
	}
}

// line names the line that is read.
func (v *verifier) line() string {
	if v.Records == 0 {
		return "the first line"
	}
	return fmt.Sprintf("the line after seq %d", v.Last)
}

func (v *verifier) check(file string, line []byte) {
	var r record.Line
	r.Scan(line) // an alteration behind the number is found by the hash
	seq, ok := r.Seq()
	if !ok {
		v.broken("%s: %s is not a record", file, v.line())
		return
	}
	v.Records++
	l, chained := record.LinkOf(line)
	v.linked = v.linked || chained
	first := v.Records == 1
	switch {
	case first:
		v.First, v.begins = seq, l.Prev == record.Digest{}
	case seq <= v.Last:
		v.broken("%s: seq %d stands behind seq %d", file, seq, v.Last)
	case seq > v.Last+1 && v.late:
		v.holes = append(v.holes, span{v.Last + 1, seq - 1}) // the log may announce it yet
	case seq > v.Last+1:
		v.broken("%s: %s", file, missing(v.Last+1, seq-1))
	}
	partial := false
	switch sum := v.chain.Sum(l.Text); {
	case !chained:
		v.unlink(file, seq)
	case sum != l.Hash && v.late && isPartial(line):
		partial = true
		v.Partial++
	case sum != l.Hash:
		v.altered(fmt.Sprintf("%s: seq %d was altered, or written with another key", file, seq))
	default:
		v.settle()
	}
	if chained && !first && seq == v.Last+1 && l.Prev != v.last {
		v.broken("%s: seq %d does not follow the seq %d that is there", file, seq, v.Last)
	}
	for _, h := range v.wanted[seq] {
		if h.of(line, &l) || partial && h.Line {
			v.Heads++
			v.Vouched = seq
		} else {
			v.broken("%s: seq %d is not the one that stood there%s, says %s", file, seq, h.when(), h.Place)
		}
	}
	v.announced(file, seq, &r)
	v.count(file, seq, &r, line)
	v.Last, v.last = seq, l.Hash
}

// unlink takes a record that is not part of a chain. Those that follow each other are one break.
func (v *verifier) unlink(file string, seq uint64) {
	if n := len(v.unlinked); n > 0 && v.unlinked[n-1].file == file && v.unlinked[n-1].last == seq-1 {
		v.unlinked[n-1].last = seq
	} else if n < maxBreaks {
		v.unlinked = append(v.unlinked, part{file, span{seq, seq}})
	}
}

// altered takes a break of a record that does not have its digest. Where no record of the log has,
// and the key is not known, the log was written with one.
func (v *verifier) altered(text string) {
	if v.foreign != nil && len(v.foreign) < maxBreaks || v.Records == 1 {
		v.foreign = append(v.foreign, text)
	} else if v.foreign == nil {
		v.broken("%s", text)
	}
}

// settle is for a record that has its digest: all that have not were altered.
func (v *verifier) settle() {
	for _, text := range v.foreign {
		v.broken("%s", text)
	}
	v.foreign = nil
}

// announced takes the gaps that a record announces.
func (v *verifier) announced(file string, seq uint64, r *record.Line) {
	message := string(r.Get(record.Msg))
	v.Ended = message == "end"
	if message != "gap" {
		return
	}
	first, _ := r.Number(record.First)
	last, _ := r.Number(record.Last)
	switch record.GapReason(r.Get(record.Reason)) {
	case record.Rotated:
		v.rotated = max(v.rotated, last)
	case record.FleetFull:
		v.gone = append(v.gone, span{first, last})
		v.rotated = max(v.rotated, last)
	case record.Cut:
		v.broken("%s: seq %d says that the log was cut while it was closed: %s", file, seq, missing(first, last))
	case record.Altered:
		v.broken("%s: seq %d says that the log was altered while it was closed, at seq %d", file, seq, last)
	case record.HeadMissing:
		v.broken("%s: seq %d says that the log had no head: records may be missing behind seq %d", file, seq, last)
	default:
	}
}

func missing(first, last uint64) string { return span{first, last}.numbers() + " missing" }

// numbers names the records of a span, and has the verb of a sentence about them.
func (s span) numbers() string {
	if s.first == s.last {
		return fmt.Sprintf("seq %d is", s.first)
	}
	return fmt.Sprintf("seq %d to %d are", s.first, s.last)
}

// judge adds the findings on the log as a whole.
func (v *verifier) judge() {
	v.Hash = fmt.Sprintf("%x", v.last)
	if v.Records == 0 {
		v.Hash = ""
	}
	switch all := v.foreign != nil; {
	case !v.chain.Keyed && (all || v.keyed):
		v.Unproven = true
	case all:
		v.settle()
	}
	for _, p := range v.unlinked {
		v.broken("%s: %s not part of a chain", p.file, p.numbers())
	}
	v.Unchained = v.Records > 0 && !v.linked
	v.Begins = v.begins
	if v.Records > 0 && !v.begins && !v.late && v.rotated+1 < v.First {
		v.broken("%s at the beginning, and the log does not say that they were rotated away", missing(1, v.First-1))
	}
	if v.end != nil && v.end.Seq > v.Last {
		v.broken("%s%s at the end: %s says that the log had them%s",
			v.prefix, missing(v.Last+1, v.end.Seq), v.end.Place, v.end.when())
	}
}
