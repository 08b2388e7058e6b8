package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"syntap/cmd/internal/hint"
	"syntap/tap/capture"
)

// captures are files that are read as one capture, in the order of time.
type captures []*captureFile

// captureFile is a capture that is being read.
type captureFile struct {
	name   string
	file   *os.File
	info   fs.FileInfo
	reader *capture.Reader
	packet *capture.Packet // the next one; nil if it is not known yet, or there is none
	ended  bool
	err    error // that has ended it before its end
}

// openCaptures opens files by their names; "-" is standard input. The files are to be closed also
// after an error.
func openCaptures(names []string) (captures, error) {
	var all captures
	for _, name := range names {
		c := &captureFile{name: name, file: os.Stdin}
		if name == "-" {
			c.name = "standard input"
		} else {
			var err error
			if c.file, err = os.Open(name); err != nil {
				return all, err
			}
		}
		all = append(all, c)
		var err error
		if c.info, err = c.file.Stat(); err != nil {
			return all, err
		}
		if c.reader, err = capture.NewReader(c.file); err != nil {
			return all, hint.Fail(fmt.Errorf("%s: %w", c.name, err), captureHint(err))
		}
	}
	return all, nil
}

// captureHint returns the remedy where a file is no capture.
func captureHint(err error) string {
	if compressed, ok := errors.AsType[capture.CompressedError](err); ok {
		programs := map[string]string{"xz": "xz -dc", "bzip2": "bzip2 -dc", "lz4": "lz4 -dc"}
		return fmt.Sprintf(`"%s FILE | syntap replay -" reads it`, programs[string(compressed)])
	}
	return `"tcpdump -w FILE" makes a capture`
}

// close closes the files, but for standard input.
func (all captures) close() {
	for _, c := range all {
		if c.file != os.Stdin {
			_ = c.file.Close() // nothing was written to it
		}
	}
}

// live reports whether one of the captures may still be going on: it comes through a pipe or a
// device.
func (all captures) live() bool {
	for _, c := range all {
		if !c.info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// next returns the next packet of all captures, nil if there is none. It is valid until the next
// call.
func (all captures) next() *capture.Packet {
	if len(all) == 1 {
		all[0].packet = nil
		all[0].fill()
		return all[0].packet
	}
	var first *captureFile
	for _, c := range all {
		c.fill()
		if c.packet != nil && (first == nil || c.packet.Time.Before(first.packet.Time)) {
			first = c
		}
	}
	if first == nil {
		return nil
	}
	packet := first.packet
	first.packet = nil
	return packet
}

// fill reads the next packet, if it is not known.
func (c *captureFile) fill() {
	if c.ended || c.packet != nil {
		return
	}
	packet, err := c.reader.Next()
	switch err {
	case nil:
		c.packet = packet
		return
	case io.EOF:
	default:
		c.err = fmt.Errorf("%s: %w", c.name, err)
	}
	c.ended = true
}

// errors returns the errors that have ended captures before their end.
func (all captures) errors() (errs []error) {
	for _, c := range all {
		if c.err != nil {
			errs = append(errs, c.err)
		}
	}
	return errs
}
