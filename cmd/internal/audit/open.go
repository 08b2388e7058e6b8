package audit

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/tap/tcpdump"
)

// Options say what a config does not about a sink. The zero value is useful.
type Options struct {
	Stdout   io.Writer      // what the path "-" means; nil = os.Stdout
	Location *time.Location // of clock times in text; nil = time.Local
	Truncate bool           // begin the file anew instead of appending
	Hooks    []logrus.Hook  // see each entry before it is written
}

// Open opens the place that c names and makes it ready for the next record. A file is appended to, and what a crash left
// broken at its end is mended first; a link, or a file in a directory open to everyone, is refused.
func Open(c config.Sink, o Options) (*Sink, error) {
	s := &Sink{config: c, path: c.Path, format: c.Format, gathered: Gap{Reason: WriteError}}
	s.logger = &logrus.Logger{Out: &s.buf, Hooks: logrus.LevelHooks{}, Level: logrus.InfoLevel}
	for _, h := range o.Hooks {
		s.logger.AddHook(h)
	}
	s.entry = logrus.NewEntry(s.logger).WithField(EventKey, &s.event)

	var resume func(*os.File) error
	switch c.Format {
	case config.Classic, config.Modern:
		f := &textFormatter{printer: tcpdump.Printer{Timestamp: c.Timestamp, Relative: c.Relative, Location: o.Location}}
		if c.Format == config.Modern {
			f.printer.Dialect = tcpdump.Modern
		}
		s.byPacket = c.Order == config.ByPacket
		s.logger.Formatter, resume = f, resumeText
	case config.JSON:
		s.logger.Formatter, resume = &jsonFormatter{}, s.resumeSeq
	case config.PCAPNG:
		f, err := newPCAPNG()
		if err != nil {
			return nil, err
		}
		s.buf.Write(f.b.Bytes())
		s.logger.Formatter, resume = f, resumePCAPNG
	default:
		return nil, fmt.Errorf("format %q is unknown (known: classic, modern, json, pcapng)", c.Format)
	}
	if err := s.openPath(o, resume); err != nil {
		return nil, err
	}
	if err := s.Flush(); err != nil { // the head of a capture
		s.out.close()
		return nil, err
	}
	return s, nil
}

func (s *Sink) openPath(o Options, resume func(*os.File) error) error {
	if s.path == "-" {
		s.out.w = o.Stdout
		if o.Stdout == nil {
			s.out.w = os.Stdout
		}
		return nil
	}
	flag := os.O_APPEND
	if o.Truncate {
		flag |= os.O_TRUNC
	}
	f, err := openFile(s.path, flag)
	if err != nil {
		return err
	}
	if err := resume(f); err != nil {
		f.Close()
		return fmt.Errorf("open log %s: %w", s.path, cause(err))
	}
	s.out.w, s.out.file = f, f
	return nil
}

func (s *Sink) resumeSeq(f *os.File) (err error) {
	s.seq, err = resumeJSON(f)
	s.written = s.seq
	return err
}
