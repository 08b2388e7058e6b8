package chain

import (
	"encoding/json"
	"fmt"
	"strings"

	"syntap/cmd/internal/record"
)

// Run is the part of a log that one run of the program has written, up to its end.
type Run struct {
	ID          string // "" where the records have none: those of earlier versions
	First, Last uint64 // numbers of records
	Begins      bool   // its first record is in the log
	Ended       bool   // it ended in order, and has counted
	Records     record.Counts
	Frames      *record.Frames // that came out of the TUN; nil where it counted none
}

// count takes a record of a run. The last record of a run that ended in order says how many there
// are, and whether all frames of the TUN were accounted for.
func (v *verifier) count(file string, seq uint64, r *record.Line, line []byte) {
	id, message := record.Unquote(r.Get(record.RunID)), string(r.Get(record.Msg))
	if n := len(v.Runs); n == 0 || v.Runs[n-1].Ended || v.Runs[n-1].ID != id {
		v.Runs = append(v.Runs, Run{ID: id, First: seq, Begins: n > 0 || v.begins})
		v.intact, v.before = len(v.Breaks), len(v.holes)
	}
	run := &v.Runs[len(v.Runs)-1]
	run.Last = seq
	switch message {
	case "handshake":
		run.Records.Handshake++
	case "datagram":
		run.Records.Datagram++
	case "flow":
		run.Records.Flow++
	case "finding":
		run.Records.Finding++
	case "gap":
		run.Records.Gap++
	case "end":
		v.ends(file, seq, run, line)
	}
}

// ends compares the counts of a run's end with its records. Where records are known to be missing,
// or not to be there any more, there is nothing to compare.
func (v *verifier) ends(file string, seq uint64, run *Run, line []byte) {
	var end record.End
	if err := json.Unmarshal(line, &end); err != nil {
		v.broken("%s: seq %d is no end of a run: %v", file, seq, err)
		return
	}
	run.Ended, run.Frames = true, end.Frames
	whole := run.Begins && len(v.Breaks) == v.intact && len(v.holes) == v.before
	if whole && end.Records != run.Records {
		v.broken("%s: seq %d says that the run wrote %s, and the log has %s",
			file, seq, counts(end.Records), counts(run.Records))
	}
	if f := end.Frames; f != nil && f.Read != f.Accounted+f.Died {
		v.broken("%s: seq %d says that %d frames came out of the TUN, and %d are accounted for",
			file, seq, f.Read, f.Accounted+f.Died)
	}
}

// counts says how many records of each type there are, without those of which there are none.
func counts(c record.Counts) string {
	var all []string
	for _, of := range []struct {
		n    uint64
		word string
	}{{c.Handshake, "handshake"}, {c.Datagram, "datagram"}, {c.Flow, "flow"}, {c.Finding, "finding"}, {c.Gap, "gap"}} {
		switch of.n {
		case 0:
		case 1:
			all = append(all, "1 "+of.word)
		default:
			all = append(all, fmt.Sprintf("%d %ss", of.n, of.word))
		}
	}
	if all == nil {
		return "no records"
	}
	return strings.Join(all, ", ")
}
