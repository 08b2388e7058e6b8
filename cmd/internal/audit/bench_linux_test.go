package audit

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// BenchmarkLog has the price of a record by part, and of all parts together: a JSON sink with a
// chain, in files that are rotated and compressed beside it. The metrics count processor time of
// all threads, which other load on the machine does not change much, and hold for records of a
// handshake.
//
//	format     the line                  write     batches into a file
//	chained    the line and its link     compress  a rotated file
func BenchmarkLog(b *testing.B) {
	records := manyRecords(1000)
	b.Run("format", func(b *testing.B) { benchmarkWriter(b, records, nil) })
	b.Run("chained", func(b *testing.B) { benchmarkWriter(b, records, record.NewChain(nil)) })
	b.Run("write", func(b *testing.B) {
		f, err := logfile.Open(logfile.Options{Path: logPath(b)})
		must(b, err)
		defer f.Close()
		f.StartRotation(logfile.Rotation{MaxSize: rotated, MaxFiles: 2})
		batch, n := chained(records, maxBatch)
		perRecord(b, n, func() {
			_, err := f.Write(batch)
			must(b, err)
		})
	})
	b.Run("compress", func(b *testing.B) {
		text, n := chained(records, 4<<20)
		path := logPath(b)
		perRecord(b, n, func() {
			must(b, os.WriteFile(path, text, 0o600))
			must(b, logfile.Compress(b.Context(), path))
			must(b, os.Remove(path+".gz"))
		})
	})
	b.Run("all", func(b *testing.B) {
		s, err := Open(config.Sink{
			Format: config.JSON, Path: logPath(b), Chain: true, MaxSize: rotated, MaxFiles: 2, Compress: true,
		}, Options{})
		must(b, err)
		perRecord(b, len(records), func() {
			for _, r := range records {
				must(b, s.Record(r))
			}
		})
		must(b, s.Close())
	})
}

// rotated is the size of the files that BenchmarkLog writes.
const rotated = 16 << 20

// manyRecords returns records of handshakes that differ as those of a busy server's clients do.
func manyRecords(n int) []*record.Attributed {
	all := make([]*record.Attributed, n)
	for i := range all {
		r := established(uint16(1024+i*37), start.Add(time.Duration(i*i)*time.Microsecond))
		r.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i), byte(i * 7)}), r.Client.Port())
		r.ClientISN, r.ServerISN = uint32(i)*2654435761, uint32(i)*2246822519
		all[i] = r
	}
	return all
}

// chained returns records as they stand in a chained log, at least size bytes of them, and their
// number.
func chained(records []*record.Attributed, size int) (text []byte, n int) {
	w := record.Writer{Chain: record.NewChain(nil)}
	for ; len(text) < size; n++ {
		text = append(w.Handshake(text, uint64(n+1), records[n%len(records)]), '\n')
	}
	return text, n
}

// benchmarkWriter appends records to memory.
func benchmarkWriter(b *testing.B, records []*record.Attributed, c *record.Chain) {
	w := record.Writer{Chain: c}
	var line []byte
	perRecord(b, len(records), func() {
		for i, r := range records {
			line = w.Handshake(line[:0], uint64(i+1), r)
		}
	})
}

// perRecord measures f, which does something to n records.
func perRecord(b *testing.B, n int, f func()) {
	b.Helper()
	before := cpu(b)
	for b.Loop() {
		f()
	}
	each := (cpu(b) - before) / time.Duration(b.N*n)
	b.ReportMetric(float64(each.Nanoseconds()), "cpu-ns/record")
	b.ReportMetric(float64(time.Second)/float64(each), "records/cpu-s")
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
