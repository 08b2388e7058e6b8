package audit

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/tcpdump"
)

// Options say what a config does not about a sink. The zero value is useful.
type Options struct {
	Stdout   io.Writer      // what the path "-" means; nil = os.Stdout
	Location *time.Location // of clock times in text; nil = time.Local
	Truncate bool           // begin the file anew instead of appending
	Hooks    []logrus.Hook  // see each entry before it is written

	Logger logrus.FieldLogger // of the program, for what becomes of files; nil = nobody is told
	Now    func() time.Time   // the clock of rotation; nil = time.Now

	succeeds bool // the writer of the same file is about to give way
}

// Open opens the place that c names and makes it ready for the next record. A file is appended to,
// and what a crash left broken at its end is mended first; a link, or a file in a directory open to
// everyone, is refused.
func Open(c config.Sink, o Options) (*Sink, error) {
	s := &Sink{config: c, path: c.Path, format: c.Format, limit: maxBatch, gathered: loss{reason: record.WriteError}}
	if c.MaxSize > 0 { // no file is larger, unless a record is
		s.limit = min(s.limit, max(1, int(c.MaxSize/2)))
	}
	for _, h := range o.Hooks {
		if s.hooks == nil {
			s.hooks = make(logrus.LevelHooks)
		}
		s.hooks.Add(h)
	}
	resume, err := s.setFormat(c, o)
	if err != nil {
		return nil, err
	}
	s.out.path, s.out.resume, s.out.sync = c.Path, resume, c.Sync && c.Path != "-"
	s.out.now, s.out.logger = o.Now, o.Logger
	if s.out.now == nil {
		s.out.now = time.Now
	}
	if s.out.logger == nil {
		s.out.logger = silent()
	}
	if s.chain != nil {
		s.vouch = newVouch(c, s.chain, s.out.logger, s.out.now)
	}
	if err := s.open(c, o); err != nil {
		return nil, err
	}
	if s.vouch != nil {
		s.vouch.start()
		if !o.succeeds {
			_ = s.Flush() // what is wrong with the log; else it is announced later
		}
	}
	return s, nil
}

// setFormat sets how the sink writes events, and returns how the end of a file of the format is
// repaired.
func (s *Sink) setFormat(c config.Sink, o Options) (resume func(*os.File) error, err error) {
	switch c.Format {
	case config.Classic, config.Modern:
		f := &textFormat{printer: tcpdump.Printer{Timestamp: c.Timestamp, Relative: c.Relative, Location: o.Location}}
		if c.Format == config.Modern {
			f.printer.Dialect = tcpdump.Modern
		}
		s.byPacket = c.Order == config.ByPacket
		s.form = f
		return resumeText, nil
	case config.JSON:
		if c.Chain {
			if s.chain, err = newChain(c.ChainKey); err != nil {
				return nil, err
			}
		}
		s.form = &jsonFormat{record.Writer{Chain: s.chain}}
		return s.resumeJSON, nil
	case config.PCAPNG:
		f, err := newPCAPNG()
		if err != nil {
			return nil, err
		}
		s.out.head, s.out.headless = bytes.Clone(f.b.Bytes()), true
		s.form = f
		return resumePCAPNG, nil
	}
	return nil, fmt.Errorf("format %q is unknown (known: classic, modern, json, pcapng)", c.Format)
}

func (s *Sink) open(c config.Sink, o Options) error {
	if s.path == "-" {
		s.out.w = o.Stdout
		if o.Stdout == nil {
			s.out.w = os.Stdout
		}
		return s.failed(s.out.begin())
	}
	if err := s.out.open(access{truncate: o.Truncate, shared: o.succeeds}); err != nil {
		return err
	}
	if s.mixed && s.out.size > 0 { // a file is chained as a whole
		if err := s.out.rotate(); err != nil {
			_ = s.out.close()
			return err
		}
	}
	if err := s.out.begin(); err != nil {
		_ = s.out.close() // it is empty
		return s.failed(err)
	}
	if s.vouch != nil {
		s.checkHead(c)
		if err := s.vouch.open(); err != nil {
			_ = s.out.close()
			return err
		}
	}
	s.out.rotation = newRotation(c, s.out.logger)
	s.announceRotated()
	return nil
}

// silent returns a logger that says nothing.
func silent() logrus.FieldLogger {
	l := logrus.New()
	l.SetLevel(logrus.PanicLevel)
	return l
}

// resumeJSON makes a JSON file ready for the next record. The first one tells the number, and the
// hash, to go on from.
func (s *Sink) resumeJSON(f *os.File) error {
	last, err := resumeJSON(f)
	if err != nil || s.out.file != nil { // the numbers go on
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
