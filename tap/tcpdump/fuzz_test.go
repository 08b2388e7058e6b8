package tcpdump

import (
	"bytes"
	"testing"
	"time"
)

// FuzzAppend feeds any bytes to every form of line. A line must be printable ASCII, at most 2 KiB
// long, appended to the bytes before it, a function of the packet alone, and empty only without
// bytes.
func FuzzAppend(f *testing.F) {
	for _, group := range [][]lineTest{headerTests(), optionTests(), mptcpTests(), tunnelTests(), extensionTests()} {
		for _, tt := range group {
			f.Add(tt.p.Data, uint16(tt.p.Length), tt.p.EtherType, "")
		}
	}
	f.Add([]byte{}, uint16(0), uint16(0), "lo    In \n")
	f.Fuzz(func(t *testing.T, data []byte, missing, etherType uint16, prefix string) {
		p := &Packet{
			Data:      data,
			Length:    len(data) + int(missing),
			EtherType: etherType,
			VLANs:     []uint16{missing},
			Prefix:    [2]string{prefix, prefix},
		}
		for _, d := range []Dialect{Classic, Modern} {
			before := []byte("before")
			line, ok := bytes.CutPrefix(Append(before, d, p), before)
			if !ok || len(line) == 0 {
				t.Fatalf("Append(%v) = %q", d, line)
			}
			if again := Append(nil, d, p); !bytes.Equal(line, again) {
				t.Errorf("Append(%v) = %q, then %q", d, line, again)
			}
			pr := Printer{Dialect: d, Timestamp: Date, Relative: true}
			for range 2 { // the second time sequence numbers have something to be relative to
				line = pr.Append(nil, time.Unix(int64(missing)<<20, 0), p)
				if len(line) > 2048 {
					t.Errorf("a line of %d bytes", len(line))
				}
				if i := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
					t.Errorf("byte %d of %q is not printable", i, line)
				}
			}
		}
	})
}
