// Package resend brings records to a store that had them and has lost them: its disk, or its last
// seconds before a crash. The shipper of the running router does not look back at the records that
// a store has confirmed, unless that store has lost its end; then NAME.fleet.lock, which the caller
// has locked, keeps the two apart.
//
//	files of the log ──▶ pages ──▶ Has: which numbers are missing ──▶ Put ──▶ Has, until they show
package resend

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"syntap/cmd/internal/fleet"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// Options say which records are looked for.
type Options struct {
	Path   string // of the log
	ID     fleet.LogID
	First  uint64 // seq of the first record that the store has had under that name
	Last   uint64 // seq of the last one
	Since  time.Time
	Fields fleet.Fields

	Wait time.Duration // for the store to show the records
}

// Result counts records.
type Result struct {
	Looked  uint64 // that the log still has
	Sent    uint64 // that the store lacked
	Missing uint64 // of those, the ones that it does not show
}

// Bounds of a page.
const (
	maxRecords = 5000
	maxBytes   = 1 << 20
)

// Run looks for the records that the store lacks, and sends them.
func Run(ctx context.Context, store fleet.Store, o Options) (r Result, err error) {
	files, err := logfile.Files(o.Path)
	if err != nil {
		return r, err
	}
	s := sender{store: store, o: o}
	for _, file := range files {
		if err := s.file(ctx, file); err != nil {
			return s.result, err
		}
	}
	if err := s.flush(ctx); err != nil {
		return s.result, err
	}
	return s.result, s.confirm(ctx)
}

// sender goes through a log.
type sender struct {
	store  fleet.Store
	o      Options
	result Result

	page  []fleet.Record
	bytes int
	sent  [][]fleet.Record // without their lines
}

// file goes through a file of the log.
func (s *sender) file(ctx context.Context, name string) error {
	f, err := logfile.OpenRead(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, record.MaxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF { // a line without an end is being written, or is none
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := s.line(ctx, line[:len(line)-1]); err != nil {
			return err
		}
	}
}

// line takes a record of the log into the page, if the store should have it.
func (s *sender) line(ctx context.Context, line []byte) error {
	seq, ok := record.SeqOf(line)
	if !ok || seq < s.o.First || seq > s.o.Last {
		return nil
	}
	_, r, ok := s.o.Fields.Append(nil, bytes.Clone(line))
	if !ok || r.Time.Before(s.o.Since) {
		return nil
	}
	s.result.Looked++
	s.page = append(s.page, r)
	if s.bytes += len(line); s.bytes < maxBytes && len(s.page) < maxRecords {
		return nil
	}
	return s.flush(ctx)
}

// flush sends the records of the page that the store lacks.
func (s *sender) flush(ctx context.Context) error {
	page := s.page
	s.page, s.bytes = nil, 0
	if len(page) == 0 {
		return nil
	}
	lacking, err := s.lacking(ctx, page)
	if err != nil || len(lacking) == 0 {
		return err
	}
	if err := s.put(ctx, lacking); err != nil {
		return err
	}
	s.result.Sent += uint64(len(lacking))
	for i := range lacking {
		lacking[i] = fleet.Record{Seq: lacking[i].Seq}
	}
	s.sent = append(s.sent, lacking)
	return nil
}

// put sends records. A store that is busy is asked again.
func (s *sender) put(ctx context.Context, records []fleet.Record) error {
	for {
		err := s.store.Put(ctx, &fleet.Batch{LogID: s.o.ID, Records: records})
		busy := (*fleet.Busy)(nil)
		if !errors.As(err, &busy) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(max(busy.After, time.Second)):
		}
	}
}

// lacking returns the records of a page that the store lacks.
func (s *sender) lacking(ctx context.Context, page []fleet.Record) (lacking []fleet.Record, err error) {
	runs, err := s.store.Has(ctx, s.o.ID, fleet.Range{First: page[0].Seq, Last: page[len(page)-1].Seq})
	if err != nil {
		return nil, err
	}
	has := func(seq uint64) bool {
		for len(runs) > 0 && runs[0].Last < seq {
			runs = runs[1:]
		}
		return len(runs) > 0 && runs[0].First <= seq
	}
	for _, record := range page {
		if !has(record.Seq) {
			lacking = append(lacking, record)
		}
	}
	return lacking, nil
}

// confirm waits until the store shows the records that it was sent.
func (s *sender) confirm(ctx context.Context) error {
	deadline := time.Now().Add(s.o.Wait)
	for {
		s.result.Missing = 0
		for _, page := range s.sent {
			lacking, err := s.lacking(ctx, page)
			if err != nil {
				return err
			}
			s.result.Missing += uint64(len(lacking))
		}
		if s.result.Missing == 0 || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
