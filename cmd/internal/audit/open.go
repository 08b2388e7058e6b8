package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/chain"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
	"syntap/tap/tcpdump"
)

// Options are the settings of a sink that a config does not have. The zero value is useful.
type Options struct {
	Stdout   io.Writer      // for the path "-"; nil = os.Stdout
	Location *time.Location // of clock times in text; nil = time.Local
	Capture  bool           // the records are those of a capture, so that their number has an end
	Truncate bool           // begin the file anew instead of appending
	Hooks    []logrus.Hook  // see each entry before it is written
	Run      record.Run     // stands in each record; the zero value is for captures, which have no ends

	// Spool returns how much of a JSON log stores outside have; ok is false for a log that is not
	// shipped. It is asked when a file is rotated, and while new connections wait for the stores.
	// nil ships none.
	Spool func(path string) (s Spool, ok bool)
	// Written is called with the number of the last record of a JSON log that is in its file for
	// good, when that has been opened and after each batch: of a batch that fails half way the file
	// may have more for a moment. nil disables it.
	Written func(path string, seq uint64)
	// Head gets each head of a chained log with the anchor config.FleetAnchor; nil disables it.
	Head func(line []byte)

	Logger logrus.FieldLogger // of the program, for events of files; nil disables that
	Now    func() time.Time   // the clock of rotation; nil = time.Now

	succeeds bool                     // the writer of the same file is about to give way
	writer   func(*os.File) io.Writer // for the bytes of a file; nil = the file itself
}

// Open opens the place that c names and makes it ready for the next record. A file is appended to,
// and an end that a crash has left broken is repaired first; a link, or a file in a directory open
// to everyone, is refused.
func Open(c config.Sink, o Options) (*Sink, error) {
	s := &Sink{
		config: c, path: c.Path, format: c.Format, limit: maxBatch, gathered: loss{reason: record.WriteError},
		numbering: new(record.Numbering), logger: o.Logger, now: o.Now,
	}
	if s.logger == nil {
		s.logger = silent()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if c.MaxSize > 0 { // no file is larger, unless a record is
		s.limit = min(s.limit, max(1, int(c.MaxSize/2)))
	}
	for _, h := range o.Hooks {
		if s.hooks == nil {
			s.hooks = make(logrus.LevelHooks)
		}
		s.hooks.Add(h)
	}
	place, err := s.setFormat(c, o)
	if err != nil {
		return nil, err
	}
	if c.Format == config.JSON {
		s.spool, s.written = o.Spool, o.Written
	}
	if s.chain != nil {
		s.heads = chain.NewHeads(chain.HeadsOptions{
			Path: c.Path, Anchors: c.ChainAnchor, Chain: s.chain, Fleet: o.Head, Logger: s.logger, Now: s.now,
		})
	}
	if err := s.open(c, o, place); err != nil {
		return nil, err
	}
	s.tellWritten()
	if s.heads != nil {
		s.heads.Start()
		if !o.succeeds {
			_ = s.Flush() // the gaps that checkHead has found; after a reload they are announced later
		}
	}
	return s, nil
}

func (s *Sink) open(c config.Sink, o Options, place logfile.Options) (err error) {
	if s.path == "-" {
		stdout := o.Stdout
		if stdout == nil {
			stdout = os.Stdout
		}
		file, ok := stdout.(*os.File)
		s.onDisk = ok && isRegular(file)
		s.out = logfile.NewStream(stdout, place.Head)
		return s.failed(s.out.Begin())
	}
	place.Path, place.Sync, place.Truncate, place.Shared = c.Path, c.Sync, o.Truncate, o.succeeds
	place.Logger, place.Now, place.Writer = s.logger, s.now, o.writer
	if s.out, err = logfile.Open(place); err != nil {
		return err
	}
	s.onDisk = isRegular(s.out.Descriptor())
	if err := s.prepare(); err != nil {
		_ = s.out.Close() // nothing of ours is in it
		return err
	}
	rotation := logfile.Rotation{
		MaxSize: int64(c.MaxSize), MaxAge: c.MaxAge, MaxFiles: c.MaxFiles, Compress: c.Compress,
	}
	if s.chain != nil || s.spool != nil {
		rotation.MayRemove = s.mayRemove
	}
	s.out.StartRotation(rotation)
	s.announceRotated()
	return nil
}

func isRegular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// prepare makes an open file ready for the first record.
func (s *Sink) prepare() error {
	if s.mixed && s.out.Size() > 0 { // a file is chained as a whole
		if err := s.out.Rotate(); err != nil {
			return err
		}
	}
	if err := s.out.Begin(); err != nil {
		return s.failed(err)
	}
	if s.heads == nil {
		return nil
	}
	s.checkHead()
	return s.heads.Open()
}

// setFormat sets how the sink writes events, and returns the head of a file of the format and how
// its end is repaired.
func (s *Sink) setFormat(c config.Sink, o Options) (place logfile.Options, err error) {
	switch c.Format {
	case config.Classic, config.Modern:
		f := &textFormat{printer: tcpdump.Printer{Timestamp: c.Timestamp, Relative: c.Relative, Location: o.Location}}
		if o.Capture {
			f.printer.Conversations = -1
		}
		if c.Format == config.Modern {
			f.printer.Dialect = tcpdump.Modern
		}
		s.byPacket = c.Order == config.ByPacket
		s.form = f
		place.Repair = logfile.EndText
	case config.JSON:
		if c.Chain {
			if s.chain, err = chain.Load(c.ChainKey); err != nil {
				return place, err
			}
		}
		s.form = &jsonFormat{record.Writer{Chain: s.chain, Run: o.Run}}
		place.Repair = s.resumeJSON
	case config.OCSF:
		s.form = &eventFormat{live: format.Live{Run: o.Run}, write: new(format.OCSF).Append}
		place.Repair = resumeEvents(format.OCSFBegin)
	case config.ECS:
		s.form = &eventFormat{live: format.Live{Run: o.Run}, write: new(format.ECS).Append}
		place.Repair = resumeEvents(format.ECSBegin)
	case config.Zeek:
		s.form = newZeek(o.Run)
		place.Repair = resumeEvents(format.ZeekBegin)
	case config.PCAPNG:
		f, err := newPCAPNG()
		if err != nil {
			return place, err
		}
		s.form = f
		place.Head, place.Repair = bytes.Clone(f.b.Bytes()), resumePCAPNG
	default:
		return place, fmt.Errorf("format %q is unknown (known: classic, modern, json, ocsf, zeek, ecs, pcapng)", c.Format)
	}
	return place, nil
}

// silent returns a logger that says nothing.
func silent() logrus.FieldLogger {
	l := logrus.New()
	l.SetLevel(logrus.PanicLevel)
	return l
}

// resumeJSON makes a JSON file ready for the next record. The first one tells the number, and the
// hash, to continue from.
func (s *Sink) resumeJSON(f *os.File) error {
	last, err := resumeJSON(f)
	if err != nil || s.out != nil { // after a rotation the numbers continue
		return err
	}
	if last == nil {
		last, err = lastRotated(s.path)
	}
	if last == nil || err != nil {
		return err
	}
	s.end.seq, _ = recordSeq(last)
	l, chained := record.LinkOf(last)
	if s.chain != nil && chained {
		s.chain.Last, s.end.hash = l.Hash, l.Hash
	}
	s.safe = s.end
	s.mixed = chained != (s.chain != nil)
	return nil
}
