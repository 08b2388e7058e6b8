package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"syntap/cmd/internal/logfile"
	"syntap/tap"
	"syntap/tap/capture"
)

// passedFile is a pcapng file of a capture's packets as the tap would have passed them on.
type passedFile struct {
	file *os.File // nil: standard output, which is not ours to close
	buf  *bufio.Writer
	w    *capture.Writer // nil before the first packet, which says the link type
}

// createPassed makes the file; "-" is stdout.
func createPassed(path string, stdout io.Writer) (*passedFile, error) {
	if path == "-" {
		return &passedFile{buf: bufio.NewWriter(stdout)}, nil
	}
	file, err := logfile.Create(path)
	if err != nil {
		return nil, err
	}
	return &passedFile{file: file, buf: bufio.NewWriter(file)}, nil
}

// write writes a packet, with the changes by rules as comments. Of an 802.11 frame with several
// packets it writes the change of the first one.
func (f *passedFile) write(p *capture.Packet, passed tap.Passed) error {
	if p.Part {
		return nil
	}
	var comments []string
	for _, w := range passed.Rewrites {
		comments = append(comments, fmt.Sprintf("%s rule %d: %s -> %s", w.What, w.Rule, w.From, w.To))
	}
	if passed.Refused != "" {
		comments = append(comments, "would be dropped: "+passed.Refused)
	}
	frame, length := p.Frame, p.FrameLength
	if len(passed.Rewrites) > 0 {
		frame, length = p.Replace(passed.Data, passed.Length)
	}
	if err := f.begin(p.LinkType); err != nil {
		return err
	}
	return f.w.WriteFrame(p.LinkType, p.Time, frame, length, comments...)
}

func (f *passedFile) begin(link capture.LinkType) (err error) {
	if f.w == nil {
		f.w, err = capture.NewWriter(f.buf, link, time.Nanosecond)
	}
	return err
}

func (f *passedFile) flush() error { return f.buf.Flush() }

// close writes the rest; also a capture without packets is one.
func (f *passedFile) close() error {
	err := f.begin(capture.LinkTypeRaw)
	err = errors.Join(err, f.flush())
	if f.file != nil {
		err = errors.Join(err, logfile.Close(f.file))
	}
	return err
}
