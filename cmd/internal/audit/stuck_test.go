package audit

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
)

// slowDisk takes each write for longer than a reader may take at the end.
type slowDisk struct{ io.Writer }

func (d slowDisk) Write(b []byte) (int, error) {
	<-time.After(2 * patience) // in the time of synctest
	return d.Writer.Write(b)
}

// A log that ends while its disk is slow loses nothing.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		o := Options{writer: func(f *os.File) io.Writer { return slowDisk{f} }}
		l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: path}, o)}, LogOptions{})
		stop := running(t, l)
		for port := range uint16(3) {
			l.Record(established(port+1, start))
			synctest.Wait()
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		log, err := os.ReadFile(path)
		must(t, err)
		if diff := cmp.Diff([]int{1, 2, 3}, ports(t, string(log))); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

// stuckHook is a hook that ends when it is told to.
type stuckHook struct{ ends chan struct{} }

func (stuckHook) Levels() []logrus.Level { return logrus.AllLevels }

func (h stuckHook) Fire(*logrus.Entry) error {
	<-h.ends
	return nil
}

// A log ends although several sinks are stuck, in a write or elsewhere, and says of each that its
// records are lost.
func TestStuckSinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		text, records := config.Sink{Format: config.Classic, Path: "-"}, config.Sink{Format: config.JSON, Path: "-"}
		l := NewLog([]*Sink{
			open(t, text, Options{Stdout: &stopped{reads: free}}),
			open(t, records, Options{Stdout: &stopped{reads: free}}),
			open(t, records, Options{Stdout: io.Discard, Hooks: []logrus.Hook{stuckHook{free}}}),
		}, LogOptions{})
		stop := running(t, l)
		l.Record(established(1, start))
		l.Record(established(2, start))
		const line = "write log -: the write does not end, 2 records are lost"
		if err := stop(); err == nil || err.Error() != line {
			t.Errorf("error = %v", err)
		}
		for _, w := range l.writers {
			if err := w.stuckError(); err == nil || err.Error() != line {
				t.Errorf("error of %s: %v", w.sink.format, err)
			}
		}
		close(free)
		synctest.Wait()
	})
}
