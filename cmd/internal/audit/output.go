package audit

import (
	"io"
	"os"
)

// output is where the bytes of a sink go.
type output struct {
	w    io.Writer
	file *os.File // nil: w is not ours to cut or to close
	torn bool     // part of a batch is out and cannot be taken back
}

// write writes one batch. What a failed write left of it in a file is cut off again.
func (o *output) write(batch []byte) error {
	n, err := o.w.Write(batch)
	if err != nil && n > 0 {
		o.torn = !o.cut(int64(n))
	}
	return err
}

// cut takes back the last n bytes.
func (o *output) cut(n int64) bool {
	if o.file == nil {
		return false
	}
	info, err := o.file.Stat()
	return err == nil && info.Mode().IsRegular() && o.file.Truncate(info.Size()-n) == nil
}

// mend ends a line of which only a part is out.
func (o *output) mend() error {
	if !o.torn {
		return nil
	}
	_, err := o.w.Write([]byte("\n"))
	o.torn = err != nil
	return err
}

func (o *output) close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
