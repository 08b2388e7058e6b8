package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
)

// maxTail is how much of a file is read to find the last records, in bytes.
const maxTail = 24 << 20

// Refill takes the last records of earlier runs from a JSON log, before the router has any of its
// own. They get numbers of this run. The file before the present one is read only if that has few
// records.
func (s *Server) Refill(path string) error {
	lines, err := tail(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && len(lines) < recentHandshakes {
		var before []string
		if before, err = logfile.Before(path); err == nil && len(before) > 0 {
			var older [][]byte
			older, err = tail(before[0])
			lines = append(older, lines...)
		}
	}
	s.records.refill(lines[max(0, len(lines)-recentRecords):])
	if err != nil {
		return fmt.Errorf("read the records of earlier runs: %w", err)
	}
	return nil
}

// tail returns the last lines of a file, at most maxTail bytes, without a last one that has no end.
func tail(path string) ([][]byte, error) {
	f, err := logfile.OpenRead(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cut := false
	if plain, ok := f.(*os.File); ok {
		info, err := plain.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil, err
		}
		if cut = info.Size() > maxTail; cut {
			if _, err := plain.Seek(-maxTail, io.SeekEnd); err != nil {
				return nil, err
			}
		}
	}
	var b []byte
	for chunk := make([]byte, 1<<20); ; {
		n, err := io.ReadFull(f, chunk)
		b = append(b, chunk[:n]...)
		if extra := len(b) - 2*maxTail; extra > 0 { // of a compressed file
			b, cut = append([]byte(nil), b[len(b)-maxTail:]...), true
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if cut {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	lines := bytes.Split(b, []byte("\n"))
	return lines[:len(lines)-1], nil
}

// refill adds lines of a log, those that are records of connections and flows.
func (r *records) refill(lines [][]byte) {
	type number struct {
		run string
		seq uint64
	}
	type place struct{ position, seq uint64 }
	openings := make(map[number]place)
	decoder := format.Decoder{Brief: true}
	var decoded format.Record
	for _, line := range lines {
		e := new(entry)
		switch decoder.Decode(line, &decoded) {
		case record.None:
			continue
		case record.Foreign:
			e.logged = terminal.CleanJSON(line)
		default:
			e.logged = bytes.Clone(line)
		}
		e.of, e.proto = decoded.Type, decoded.Proto
		switch decoded.Type {
		case format.Handshake, format.Datagram:
			position := r.addOpening(e, nil)
			openings[number{decoded.RunID, decoded.Seq}] = place{position, e.seq}
		case format.Flow:
			p := openings[number{decoded.RunID, decoded.Opening}]
			r.addEnd(e, p.position, p.seq)
		default: // the page shows connections and flows alone
		}
	}
}
