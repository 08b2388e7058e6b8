package logfile

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Rotation says when a File begins a new file and which old ones it keeps. The zero value
// disables it.
type Rotation struct {
	MaxSize  int64         // bytes of one file; 0 = no limit
	MaxAge   time.Duration // 0 = no limit
	MaxFiles int           // rotated files that are kept; 0 = all
	Compress bool

	// MayRemove reports whether the file before next may be removed; nil allows it. It is called by
	// another goroutine.
	MayRemove func(next string) bool
}

// rotation compresses rotated files and removes the oldest, in the background.
type rotation struct {
	Rotation
	names  names
	logger logrus.FieldLogger

	wake chan struct{} // holds a token when there are files to tidy up
	stop context.CancelFunc
	done sync.WaitGroup // the goroutine that tidies up
}

// StartRotation has the file rotated from now on. Close ends it.
func (f *File) StartRotation(r Rotation) {
	if f.file == nil || r.MaxSize == 0 && r.MaxAge == 0 {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	f.rotation = &rotation{
		Rotation: r, names: namesOf(f.o.Path), logger: f.o.Logger, wake: make(chan struct{}, 1), stop: stop,
	}
	f.rotation.done.Go(func() { f.rotation.tidyUntil(ctx) })
	f.Tidy() // an earlier run may have had no time for it
}

// Tidy has rotated files compressed and removed in the background.
func (f *File) Tidy() {
	if f.rotation == nil {
		return
	}
	select {
	case f.rotation.wake <- struct{}{}:
	default: // it is about to
	}
}

// Surplus returns the rotated files beyond MaxFiles, the oldest first, and the oldest that is to
// stay; none where there are no more than MaxFiles.
func (f *File) Surplus() (surplus []string, kept string) {
	if f.rotation == nil || f.rotation.MaxFiles == 0 {
		return nil, ""
	}
	files, err := f.rotation.names.rotated()
	n := len(files) - f.rotation.MaxFiles
	if err != nil || n <= 0 {
		return nil, ""
	}
	for _, file := range files[:n] {
		surplus = append(surplus, file.paths[0])
	}
	return surplus, files[n].paths[0]
}

func (r *rotation) due(size int64, age time.Duration) bool {
	return r.MaxSize > 0 && size > r.MaxSize || r.MaxAge > 0 && age >= r.MaxAge
}

func (r *rotation) tidyUntil(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			if err := r.tidy(ctx); err != nil && ctx.Err() == nil {
				r.logger.WithError(err).Error("rotated logs cannot be tidied up")
			}
		}
	}
}

// tidy removes the oldest files and compresses the others.
func (r *rotation) tidy(ctx context.Context) error {
	files, err := r.names.rotated()
	if err != nil {
		return err
	}
	for r.MaxFiles > 0 && len(files) > r.MaxFiles && (r.MayRemove == nil || r.MayRemove(files[1].paths[0])) {
		for _, path := range files[0].paths {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		files = files[1:]
	}
	if !r.Compress {
		return nil
	}
	var errs []error
	for _, f := range files {
		if slices.Contains(f.paths, f.plain) {
			errs = append(errs, Compress(ctx, f.plain))
		}
	}
	return errors.Join(errs...)
}

// close ends the background work. The next run does the rest.
func (r *rotation) close() {
	r.stop()
	r.done.Wait()
}
