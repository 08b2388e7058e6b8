package capture

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Magic numbers of compressed files (RFC 1952 §2.3.1, RFC 8878 §3.1.1; the file formats of xz,
// bzip2 and LZ4).
const (
	magicGzip = 0x1f8b
	magicZstd = 0x28b52ffd
	// magicSkippable begins a frame of zstd without data, but for four bits; pzstd writes them.
	magicSkippable = 0x502a4d18
	magicXZ        = 0xfd377a58
	magicBzip2     = 0x425a68
	magicLZ4       = 0x04224d18
)

// maxWindow bounds the memory that a zstd file can make the reader allocate: "zstd --long=27".
const maxWindow = 128 << 20

// decompress returns the content of r, decompressed if it is compressed.
func decompress(r *bufio.Reader) (*bufio.Reader, error) {
	magic, err := r.Peek(4)
	if len(magic) < 4 {
		if err == io.EOF {
			err = nil
		}
		return r, err
	}
	var plain io.Reader
	switch m := binary.BigEndian.Uint32(magic); {
	case m>>16 == magicGzip:
		plain, err = gzip.NewReader(r)
	case m == magicZstd, m&0xf0ffffff == magicSkippable:
		plain, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	case m == magicXZ:
		return nil, CompressedError("xz")
	case m>>8 == magicBzip2:
		return nil, CompressedError("bzip2")
	case m == magicLZ4:
		return nil, CompressedError("lz4")
	default:
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", cutShort(err))
	}
	return bufio.NewReaderSize(plain, 1<<16), nil
}

// CompressedError is the program that has compressed a file in a way that this package does not
// read.
type CompressedError string

func (e CompressedError) Error() string {
	return "compressed with " + string(e) + " (supported: gzip, zstd)"
}
