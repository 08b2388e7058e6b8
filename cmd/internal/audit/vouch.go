package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// vouch keeps the heads of a chained log, which say how far it goes. The head file beside the log
// follows each batch: a process that is killed leaves both as they were. At most every anchorEvery
// the disk has the log and its head, in this order, and the anchors a copy.
type vouch struct {
	chain  *record.Chain
	log    string    // path of the log
	head   *headFile // nil: the log is a stream
	copies []anchor
	logger logrus.FieldLogger
	now    func() time.Time
	quiet  map[string]time.Time // by message, the time of its next report; guarded by mu

	ready chan struct{} // holds a token when there is a head that is not copied yet
	stop  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex // guards the two below, and head
	line []byte     // the last head; nil = none since the start
	file *os.File   // the log's
}

// anchor is a place out of the reach of those who may change the log tomorrow.
type anchor interface {
	put(line []byte) error
	name() string
}

// anchorEvery is how often a head goes to the disk and to the anchors, at most.
const anchorEvery = 10 * time.Second

// newVouch returns the heads of the log of c.
func newVouch(c config.Sink, ch *record.Chain, logger logrus.FieldLogger, now func() time.Time) *vouch {
	v := &vouch{
		chain: ch, log: c.Path, logger: logger, now: now, quiet: make(map[string]time.Time),
		ready: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if c.Path != "-" {
		v.head = &headFile{path: c.Path + logfile.HeadSuffix}
		if path, err := filepath.Abs(c.Path); err == nil {
			v.log = path
		}
	}
	for _, to := range c.ChainAnchor {
		if to == config.Journald {
			v.copies = append(v.copies, &journal{log: v.log})
		} else {
			v.copies = append(v.copies, &anchorFile{headFile{path: to}})
		}
	}
	return v
}

// open opens the head file, and the anchors that are files: a mistake in their names is found at
// the start.
func (v *vouch) open() error {
	for _, f := range v.files() {
		if err := f.open(); err != nil {
			v.closeFiles()
			return err
		}
	}
	return nil
}

// files returns the head file and the anchors that are files.
func (v *vouch) files() (all []*headFile) {
	if v.head != nil {
		all = append(all, v.head)
	}
	for _, to := range v.copies {
		if f, ok := to.(*anchorFile); ok {
			all = append(all, &f.headFile)
		}
	}
	return all
}

func (v *vouch) closeFiles() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.files() {
		f.close()
	}
}

// start has heads be kept until close.
func (v *vouch) start() { v.done.Go(v.keep) }

// wrote takes the end of the log after a batch. It is called by the log's writer.
func (v *vouch) wrote(seq uint64, hash record.Digest, file *os.File) {
	line := appendHead(nil, v.chain, head{Time: v.now(), Log: v.log, Seq: seq, Hash: hash, Keyed: v.chain.Keyed})
	v.mu.Lock()
	v.line, v.file = line, file
	var err error
	if v.head != nil {
		err = v.head.put(line)
	}
	v.mu.Unlock()
	v.report("head of handshake log cannot be written", err)
	select {
	case v.ready <- struct{}{}:
	default:
	}
}

// report logs an error, but not the same each time.
func (v *vouch) report(message string, err error) {
	if err == nil {
		return
	}
	v.mu.Lock()
	again := v.now().Before(v.quiet[message])
	if !again {
		v.quiet[message] = v.now().Add(quiet)
	}
	v.mu.Unlock()
	if !again {
		v.logger.WithError(err).Error(message)
	}
}

func (v *vouch) keep() {
	for {
		select {
		case <-v.stop:
			return
		case <-v.ready:
			v.secure()
		}
		again := time.NewTimer(anchorEvery)
		select {
		case <-v.stop:
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// secure brings the last head to the disk and to the anchors.
func (v *vouch) secure() {
	v.mu.Lock()
	line, files := v.line, []*os.File{v.file}
	if v.head != nil {
		files = append(files, v.head.file)
	}
	v.mu.Unlock() // the writer does not wait for a disk
	if line == nil {
		return
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		// ErrClosed: it was rotated meanwhile. EINVAL: it is a device.
		if err := f.Sync(); !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.EINVAL) {
			v.report("handshake log cannot be synced", err)
		}
	}
	for _, to := range v.copies {
		if err := to.put(line); err != nil {
			v.report("head of handshake log cannot be copied to "+to.name(), err)
		}
	}
}

// close copies the last head.
func (v *vouch) close() {
	close(v.stop)
	v.done.Wait()
	select {
	case <-v.ready:
		v.secure()
	default:
	}
	v.closeFiles()
}

// anchorFile is a copy of the head in a file elsewhere.
type anchorFile struct{ headFile }

func (f *anchorFile) name() string { return f.path }

func (f *anchorFile) put(line []byte) error {
	if err := f.headFile.put(line); err != nil {
		return fmt.Errorf("write %s: %w", f.path, logfile.Cause(err))
	}
	return f.sync()
}
