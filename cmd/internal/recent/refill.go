package recent

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
	"syntap/tun/flow"
)

// maxTail is how much of a file is read to find the last records, in bytes: more than are kept.
const maxTail = 8 << 20

// Refill keeps the last records of earlier runs from a JSON log, before there are any of this one.
// They get numbers of this run. The file before the present one is read only if that has few
// records.
func (w *Writer) Refill(path string) error {
	w.mu.Lock() // records of this run have to wait
	defer w.mu.Unlock()
	lines, err := tail(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && len(lines) < Handshakes {
		var before []string
		if before, err = logfile.Before(path); err == nil && len(before) > 0 {
			var older [][]byte
			older, err = tail(before[0])
			lines = append(older, lines...)
		}
	}
	w.refill(lines[max(0, len(lines)-Records):])
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
		if err == io.EOF || err == io.ErrUnexpectedEOF || errors.Is(err, logfile.ErrCutShort) {
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

// refill adds lines of a log, those that are records of connections and flows. mu is held.
func (w *Writer) refill(lines [][]byte) {
	type number struct {
		run string
		seq uint64
	}
	openings := make(map[number]place)
	decoder := format.Decoder{Brief: true}
	var decoded format.Record
	for _, line := range lines {
		kind := decoder.Decode(line, &decoded)
		if kind == record.None {
			continue
		}
		if kind == record.Foreign {
			line = terminal.CleanJSON(line)
		}
		switch decoded.Type {
		case format.Handshake, format.Datagram:
			openings[number{decoded.RunID, decoded.Seq}] = w.addOpening(decoded.Type, loggedFlag, nil, line)
		case format.Flow:
			flags := uint64(loggedFlag)
			if decoded.Proto == flow.TCP {
				flags |= tcpFlag
			}
			p := openings[number{decoded.RunID, decoded.Opening}]
			w.addEnd(flags, p.position, p.seq, line)
		default: // connections and flows alone are shown
		}
	}
}
