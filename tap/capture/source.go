package capture

import (
	"bufio"
	"fmt"
	"io"
	"slices"
)

// source reads a file from front to end and knows where it is.
type source struct {
	r       *bufio.Reader
	offset  int64 // of the next byte
	record  int64 // where the current record began
	scratch []byte
}

// begin starts a record of the file. It returns io.EOF when there is none.
func (s *source) begin() error {
	s.record = s.offset
	if _, err := s.r.Peek(1); err != nil {
		return err
	}
	return nil
}

// take returns the next n bytes of a header. They stay valid until the next take.
func (s *source) take(n int) ([]byte, error) {
	s.scratch = slices.Grow(s.scratch[:0], n)[:n]
	return s.scratch, s.read(s.scratch)
}

// read fills b.
func (s *source) read(b []byte) error {
	n, err := io.ReadFull(s.r, b)
	s.offset += int64(n)
	return cutShort(err)
}

// skip passes over n bytes.
func (s *source) skip(n int64) error {
	skipped, err := io.CopyN(io.Discard, s.r, n)
	s.offset += skipped
	return cutShort(err)
}

// cutShort turns the end of the file into an error: inside a record it never is the proper end.
func cutShort(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the file is cut short: %w", io.ErrUnexpectedEOF)
	}
	return err
}
