package query

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"syntap/cmd/internal/follow"
)

// pollInterval is the time between two reads of a followed log.
const pollInterval = 100 * time.Millisecond

// follower prints new records of a log.
type follower struct {
	search *search
	worker *worker
	old    int // records printed in modern notation, as they have no segments
}

// Follow searches files as Run does, and then new records of the last one, across rotation, until
// ctx ends. It prints a connection when it begins, and again when it ends.
func Follow(ctx context.Context, q Query, files []string, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	s, last := newSearch(&q, files, out), len(files)-1
	s.runFiles(files[:last])
	if err := s.err(); err != nil {
		return errors.Join(err, out.Flush())
	}
	f := follower{search: s, worker: newWorker(&q)}
	log := follow.New(files[last])
	defer log.Close()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for began := false; ; began = true {
		err := log.Read(f.print)
		if err == nil && !began {
			err = s.follow()
		}
		if flushErr := out.Flush(); err == nil {
			err = flushErr
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return tooOld(files[last], f.old)
		case <-tick.C:
		}
	}
}

// print prints the records that match.
func (f *follower) print(l follow.Lines) error {
	run := lineRun{l.Text, l.File, logOf(l.File), l.First}
	r := f.worker.search(run)
	f.old += r.old
	if r.bad.n > 0 {
		return notRecord(run.file, r.bad.lines[0])
	}
	r.gaps.tell(f.search.query)
	return f.search.output.take(&run, &r)
}
