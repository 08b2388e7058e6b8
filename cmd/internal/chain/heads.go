package chain

import (
	"bytes"
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

// Heads keeps the heads of a chained log, which say how far it goes. The head file beside the log
// follows each batch: a process that is killed leaves both as they were. At most every anchorEvery
// the disk has the log and its head, in this order, and the anchors a copy.
type Heads struct {
	o      HeadsOptions
	log    string    // path of the log
	file   *headFile // beside the log; nil: the log is a stream
	copies []anchor

	ready chan struct{} // holds a token when there is a head that is not copied yet
	stop  chan struct{}
	done  sync.WaitGroup

	mu      sync.Mutex           // guards the fields below, and file
	line    []byte               // the last head; nil = none since the start
	written *os.File             // the log's
	quiet   map[string]time.Time // by message, the time of its next report
}

// HeadsOptions are all required but Anchors and Fleet.
type HeadsOptions struct {
	Path    string            // of the log; "-" = a stream
	Anchors []string          // files, Journald, or config.FleetAnchor
	Fleet   func(line []byte) // gets each head for the latter; nil disables it
	Chain   *record.Chain
	Logger  logrus.FieldLogger
	Now     func() time.Time
}

// Journald is the anchor in systemd's journal.
const Journald = config.Journald

// quiet is how long the same failure is not reported again.
const quiet = time.Minute

// anchor is a place out of the reach of those who may change the log tomorrow.
type anchor interface {
	put(line []byte) error
	name() string
}

// anchorEvery is how often a head goes to the disk and to the anchors, at most.
const anchorEvery = 10 * time.Second

// NewHeads returns the heads of a log.
func NewHeads(o HeadsOptions) *Heads {
	h := &Heads{
		o: o, log: o.Path, quiet: make(map[string]time.Time),
		ready: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if o.Path != "-" {
		h.file = &headFile{path: o.Path + logfile.HeadSuffix}
		if path, err := filepath.Abs(o.Path); err == nil {
			h.log = path
		}
	}
	for _, to := range o.Anchors {
		switch to {
		case Journald:
			h.copies = append(h.copies, &journal{log: h.log})
		case config.FleetAnchor:
			h.copies = append(h.copies, fleetAnchor(o.Fleet))
		default:
			h.copies = append(h.copies, &anchorFile{headFile{path: to}})
		}
	}
	return h
}

// Read returns the greatest head in the head file and in the anchors that are files; ok is false if
// there is none. err is about a file that cannot be read, or has the head of another log.
func (h *Heads) Read() (greatest Head, ok bool, err error) {
	for i, f := range h.files() {
		heads, readErr := ReadHeads(h.o.Chain, f.path)
		if readErr != nil {
			err = readErr
			continue
		}
		for _, head := range heads {
			if i > 0 && head.Log != h.log {
				err = fmt.Errorf("%s: it is the head of %s", f.path, head.Log)
				continue
			}
			if !ok || head.Seq > greatest.Seq {
				greatest, ok = head, true
			}
		}
	}
	return greatest, ok, err
}

// Open opens the head file, and the anchors that are files: a mistake in their names is found at
// the start.
func (h *Heads) Open() error {
	for _, f := range h.files() {
		if err := f.open(); err != nil {
			h.closeFiles()
			return err
		}
	}
	return nil
}

// files returns the head file and the anchors that are files.
func (h *Heads) files() (all []*headFile) {
	if h.file != nil {
		all = append(all, h.file)
	}
	for _, to := range h.copies {
		if f, ok := to.(*anchorFile); ok {
			all = append(all, &f.headFile)
		}
	}
	return all
}

func (h *Heads) closeFiles() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.files() {
		f.close()
	}
}

// Start has heads copied to the disk and the anchors until Close.
func (h *Heads) Start() { h.done.Go(h.keep) }

// Write takes the end of the log after a batch. It is called by the log's writer.
func (h *Heads) Write(seq uint64, hash record.Digest, file *os.File) {
	line := appendHead(nil, h.o.Chain, Head{
		Time: h.o.Now(), Log: h.log, Seq: seq, Hash: hash, Keyed: h.o.Chain.Keyed,
	})
	h.mu.Lock()
	h.line, h.written = line, file
	var err error
	if h.file != nil {
		err = h.file.put(line)
	}
	h.mu.Unlock()
	h.report("head of handshake log cannot be written", err)
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// report logs an error, but not the same each time.
func (h *Heads) report(message string, err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	again := h.o.Now().Before(h.quiet[message])
	if !again {
		h.quiet[message] = h.o.Now().Add(quiet)
	}
	h.mu.Unlock()
	if !again {
		h.o.Logger.WithError(err).Error(message)
	}
}

func (h *Heads) keep() {
	for {
		select {
		case <-h.stop:
			return
		case <-h.ready:
			h.secure()
		}
		again := time.NewTimer(anchorEvery)
		select {
		case <-h.stop:
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// secure brings the last head to the disk and to the anchors.
func (h *Heads) secure() {
	h.mu.Lock()
	line, files := h.line, []*os.File{h.written}
	if h.file != nil {
		files = append(files, h.file.file)
	}
	h.mu.Unlock() // the writer does not wait for a disk
	if line == nil {
		return
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		// ErrClosed: it was rotated meanwhile. EINVAL: it is a device.
		if err := f.Sync(); !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.EINVAL) {
			h.report("handshake log cannot be synced", err)
		}
	}
	for _, to := range h.copies {
		if err := to.put(line); err != nil {
			h.report("head of handshake log cannot be copied to "+to.name(), err)
		}
	}
}

// Close copies the last head.
func (h *Heads) Close() {
	close(h.stop)
	h.done.Wait()
	select {
	case <-h.ready:
		h.secure()
	default:
	}
	h.closeFiles()
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

// fleetAnchor hands heads on to the stores of the fleet, which get them when they can.
type fleetAnchor func(line []byte)

func (f fleetAnchor) name() string { return config.FleetAnchor }

func (f fleetAnchor) put(line []byte) error {
	if f != nil {
		f(bytes.TrimSuffix(line, []byte("\n")))
	}
	return nil
}
