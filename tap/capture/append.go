package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// AppendOffset returns the offset behind the last whole block of a pcapng file, where a new section
// may begin. Bytes behind it are of a block that was cut short, perhaps by a crash. A file that is
// not pcapng is an error; an empty one is not: it will be pcapng.
func AppendOffset(r io.Reader) (int64, error) {
	s := source{r: bufio.NewReaderSize(r, 1<<16)}
	magic, err := s.r.Peek(4)
	if len(magic) == 0 && err == io.EOF {
		return 0, nil
	}
	if err != nil || !isSection(magic) {
		return 0, errors.New("not a pcapng file")
	}
	var order binary.ByteOrder
	for {
		err := s.begin()
		if err == io.EOF {
			return s.record, nil
		}
		var b *block
		if err == nil {
			b, err = openBlock(&s, &order)
		}
		if err == nil {
			err = b.close()
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return s.record, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read block at offset %d: %w", s.record, err)
		}
	}
}
