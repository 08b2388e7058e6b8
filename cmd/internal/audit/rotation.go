package audit

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// rotation says when a log begins a new file and what becomes of the old ones. In the background it
// compresses them and removes the oldest.
type rotation struct {
	dir, stem, ext string // of the log's path
	maxSize        int64  // bytes of one file; 0 = no limit
	maxAge         time.Duration
	maxFiles       int // rotated ones that are kept; 0 = all
	compress       bool
	logger         logrus.FieldLogger

	removable atomic.Uint64 // files may go whose records have no greater number

	wake chan struct{} // holds a token when there is something to tidy
	stop context.CancelFunc
	done sync.WaitGroup // the goroutine that tidies
}

const (
	// stampLayout is the time of a rotation in the name of a file, in UTC. Names sort by time.
	stampLayout = "20060102T150405.000000Z"
	gzipSuffix  = ".gz"
)

// newRotation returns nil for a log that is not to be rotated.
func newRotation(c config.Sink, logger logrus.FieldLogger) *rotation {
	if c.MaxSize == 0 && c.MaxAge == 0 {
		return nil
	}
	r := rotationOf(c.Path)
	r.maxSize, r.maxAge, r.maxFiles, r.compress, r.logger = int64(c.MaxSize), c.MaxAge, c.MaxFiles, c.Compress, logger
	if !c.Chain {
		r.removable.Store(math.MaxUint64)
	}
	r.wake = make(chan struct{}, 1)
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.done.Go(func() { r.tidyUntil(ctx) })
	r.tidySoon() // an earlier run may have had no time for it
	return r
}

// rotationOf knows the names of a log's files.
func rotationOf(path string) *rotation {
	dir, base := filepath.Split(path)
	ext := filepath.Ext(base)
	return &rotation{dir: filepath.Clean(dir + "."), stem: strings.TrimSuffix(base, ext), ext: ext}
}

func (r *rotation) due(size int64, age time.Duration) bool {
	return r.maxSize > 0 && size > r.maxSize || r.maxAge > 0 && age >= r.maxAge
}

// next returns the name of the file that is rotated now: later than all others, whatever the clock
// says.
func (r *rotation) next(now time.Time) (string, error) {
	files, err := r.files()
	if err != nil {
		return "", err
	}
	stamp := now.UTC().Truncate(time.Microsecond)
	if n := len(files); n > 0 && !stamp.After(files[n-1].stamp) {
		stamp = files[n-1].stamp.Add(time.Microsecond)
	}
	return filepath.Join(r.dir, r.stem+"-"+stamp.Format(stampLayout)+r.ext), nil
}

// rotatedFile is one file of a log that is not written to any more.
type rotatedFile struct {
	path  string // without the suffix of compression
	stamp time.Time
	names []string // one, or two when compression was cut short
}

// files lists the rotated files, the oldest first.
func (r *rotation) files() ([]rotatedFile, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, fmt.Errorf("list rotated logs: %w", err)
	}
	var all []rotatedFile
	for _, e := range entries {
		plain := strings.TrimSuffix(e.Name(), gzipSuffix)
		stamp, ok := r.stamp(plain)
		if !ok {
			continue
		}
		path, name := filepath.Join(r.dir, plain), filepath.Join(r.dir, e.Name())
		if n := len(all); n > 0 && all[n-1].path == path { // ReadDir sorts
			all[n-1].names = append(all[n-1].names, name)
			continue
		}
		all = append(all, rotatedFile{path: path, stamp: stamp, names: []string{name}})
	}
	return all, nil
}

// Files lists the files of a log that syntap has rotated, the oldest first, and the one that is
// written to.
func Files(path string) ([]string, error) {
	rotated, err := rotationOf(path).files()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, f := range rotated {
		all = append(all, f.names[0]) // where both forms are there they hold the same
	}
	return append(all, path), nil
}

// stamp reads the time in the name of a rotated file.
func (r *rotation) stamp(name string) (time.Time, bool) {
	text, ok := strings.CutPrefix(name, r.stem+"-")
	if ok {
		text, ok = strings.CutSuffix(text, r.ext)
	}
	if !ok {
		return time.Time{}, false
	}
	stamp, err := time.Parse(stampLayout, text)
	return stamp, err == nil
}

// tidySoon has old files compressed and removed. It does not wait for that.
func (r *rotation) tidySoon() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *rotation) tidyUntil(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			if err := r.tidy(ctx); err != nil && ctx.Err() == nil {
				r.logger.WithError(err).Error("rotated handshake logs cannot be tidied up")
			}
		}
	}
}

// tidy removes the oldest files and compresses the others.
func (r *rotation) tidy(ctx context.Context) error {
	files, err := r.files()
	if err != nil {
		return err
	}
	for r.maxFiles > 0 && len(files) > r.maxFiles && r.mayGo(files[1]) {
		for _, name := range files[0].names {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
		files = files[1:]
	}
	if !r.compress {
		return nil
	}
	for _, f := range files {
		if slices.Contains(f.names, f.path) {
			if err := compressFile(ctx, f.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayGo reports whether the file before next may be removed.
func (r *rotation) mayGo(next rotatedFile) bool {
	removable := r.removable.Load()
	if removable == math.MaxUint64 {
		return true
	}
	first, err := FirstSeq(next.names[0])
	return err == nil && first > 0 && first-1 <= removable
}

// leaving returns the numbers of the first and the last record in the files that are too many; 0
// for none.
func (r *rotation) leaving() (first, last uint64) {
	files, err := r.files()
	if err != nil || r.maxFiles == 0 || len(files) <= r.maxFiles {
		return 0, 0
	}
	first, err = FirstSeq(files[0].names[0])
	kept, keptErr := FirstSeq(files[len(files)-r.maxFiles].names[0])
	if err != nil || keptErr != nil || kept <= first {
		return 0, 0
	}
	return first, kept - 1
}

// close ends the background work. What it leaves undone the next run does.
func (r *rotation) close() {
	r.stop()
	r.done.Wait()
}
