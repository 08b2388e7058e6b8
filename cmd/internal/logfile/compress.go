package logfile

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// Compress replaces a file by its compressed form, with the same times. The new file gets its
// name when it is whole, so that a crash leaves one of the two.
func Compress(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("compress log %s: %w", path, err)
		}
	}()
	in, info, err := openRotated(path)
	if err != nil {
		return err
	}
	defer in.Close()
	unfinished := path + gzipSuffix + unfinishedSuffix
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, info.Mode().Perm())
	if err != nil {
		return err
	}
	if err = compress(ctx, out, in); err == nil {
		err = out.Sync() // the original is about to go
	}
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Chtimes(unfinished, info.ModTime(), info.ModTime())
	}
	if err == nil {
		err = os.Rename(unfinished, path+gzipSuffix)
	}
	if err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return os.Remove(path)
}

// openRotated opens a file to read it. Who may write into the directory could have a link or a pipe
// have the name of a rotated log: the one would be copied, and the other waited for.
func openRotated(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err == nil {
		err = mustBeRegular(info)
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = mustBeRegular(info)
	}
	return f, info, closing(f, err)
}

// compress copies in small pieces and yields after each: packets do not wait for it.
func compress(ctx context.Context, w io.Writer, r io.Reader) error {
	const piece = 16 << 10
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := io.CopyN(z, r, piece)
		if err == io.EOF {
			return z.Close()
		}
		if err != nil {
			return err
		}
		runtime.Gosched()
	}
}
