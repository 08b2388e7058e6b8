package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// running starts a log and returns how to end it.
func running(t *testing.T, l *Log) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// passing collects the client ports of connections that may pass.
type passing struct {
	mu    sync.Mutex
	ports []uint16
}

func (p *passing) add(k flow.Key, _ uint32, _ *record.Opening) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ports = append(p.ports, k.Client.Port())
}

func (p *passing) take() []uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	ports := p.ports
	p.ports = nil
	return ports
}

// expecting returns a test of the ports that have passed, and of new ones having to wait, in a
// bubble of synctest.
func (p *passing) expecting(t *testing.T, wait func() bool) func(name string, ports []uint16, want bool) {
	return func(name string, ports []uint16, want bool) {
		t.Helper()
		synctest.Wait()
		if got := p.take(); !slices.Equal(got, ports) {
			t.Errorf("%s: %d may pass, want %d", name, got, ports)
		}
		if got := wait(); got != want {
			t.Errorf("%s: others have to wait: %t, want %t", name, got, want)
		}
	}
}

// wait reports whether new connections have to wait, and waitDatagrams whether new flows without a
// handshake do.
func (l *Log) wait() bool          { return l.State(time.Now()).Handshakes }
func (l *Log) waitDatagrams() bool { return l.State(time.Now()).Datagrams }

// A disk that is full keeps new connections out and loses nothing; when it has room again
// everything goes on by itself.
func TestSuspend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		disk := &full{w: &out, room: 1 << 20}
		s := open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: disk})
		l := NewLog([]*Sink{s}, LogOptions{Queue: 4, Reserve: 100})
		var passed passing
		l.OnWritten(passed.add)
		stop := running(t, l)
		expect := passed.expecting(t, l.wait)
		l.Record(established(1, start))
		l.Record(refused()) // no connection waits for it
		expect("room", []uint16{1}, false)

		disk.free(100) // less than a record
		l.Record(established(2, start))
		expect("full", nil, true)
		l.Record(established(3, start))
		expect("still full", nil, true)
		before := disk.free(100)
		<-time.After(time.Minute)
		expect("full for long", nil, true)
		if tries := disk.free(100) - before; tries < 10 || tries > 70 {
			t.Errorf("%d tries in a minute, want about 60", tries)
		}

		disk.free(1 << 20)
		<-time.After(lastRetry)
		expect("room again", []uint16{2, 3}, false)
		must(t, stop())
		if got := ports(t, out.String()); !slices.Equal(got, []int{1, 1051, 2, 3}) {
			t.Errorf("log has %d, want every record", got)
		}
		if last := out.String(); !strings.HasSuffix(last, `"msg":"end","seq":5,"records":{"handshake":4,"datagram":0,"flow":0,"finding":0,"gap":0}}`+"\n") {
			t.Errorf("log does not end in the number of its records: %s", last)
		}
		want := LogStats{Records: 4, Lost: map[record.GapReason]uint64{record.QueueFull: 0, record.WriteError: 0}}
		if diff := cmp.Diff(want, l.Stats()); diff != "" {
			t.Errorf("stats (-want +got):\n%s", diff)
		}
	})
}

// stopped is a reader that reads when it is told to.
type stopped struct {
	bytes.Buffer
	reads chan struct{} // closed when it reads
}

func (s *stopped) Write(b []byte) (int, error) {
	<-s.reads
	return s.Buffer.Write(b)
}

// A reader that does not read keeps new connections out, but not the sinks beside it from writing.
func TestSuspendStoppedReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var beside bytes.Buffer
		reader := &stopped{reads: make(chan struct{})}
		l := NewLog([]*Sink{
			open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: reader}),
			open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: &beside}),
		}, LogOptions{Queue: 4, Reserve: 10})
		var passed passing
		l.OnWritten(passed.add)
		stop := running(t, l)
		for port := range uint16(8) {
			l.Record(established(port+1, start))
			synctest.Wait()
		}
		if got := ports(t, beside.String()); len(got) != 8 {
			t.Errorf("the other sink has %d records, want 8", len(got))
		}
		if got := passed.take(); got != nil {
			t.Errorf("connections %d may pass", got)
		}
		if !l.wait() { // the queue is long enough
			t.Error("new connections need not wait")
		}
		close(reader.reads)
		synctest.Wait()
		if got := passed.take(); len(got) != 8 {
			t.Errorf("connections %d may pass, want 8", got)
		}
		if l.wait() {
			t.Error("new connections have to wait")
		}
		must(t, stop())
	})
}

// A log whose queue is full tells all the same, once it is read, of the connections that were kept
// out meanwhile, and of its own losses.
func TestSuspendedBesideFullQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &stopped{reads: make(chan struct{})}
		sink := open(t, config.Sink{Format: config.JSON, Path: "-", OnFull: config.Count}, Options{Stdout: reader})
		l := NewLog([]*Sink{sink}, LogOptions{Queue: 2, Reserve: 1})
		stop := running(t, l)
		for port := range uint16(5) {
			l.Record(established(port+1, start))
			synctest.Wait()
		}
		l.Missed(&record.Gap{Reason: record.Suspended, From: start, To: start, Refused: 1})
		close(reader.reads)
		synctest.Wait()
		if diff := cmp.Diff([]int{1, 2, 3, 4, 0, 0}, ports(t, reader.String())); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		for _, gap := range []string{`"refused":1,"reason":"suspended"}`, `"lost":1,"reason":"queue_full"}`} {
			if !strings.Contains(reader.String(), gap) {
				t.Errorf("no gap with %s:\n%s", gap, &reader.Buffer)
			}
		}
		must(t, stop())
	})
}

// A slow write alone keeps new connections out.
func TestSuspendSlowWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &stopped{reads: make(chan struct{})}
		l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: reader})}, LogOptions{})
		stop := running(t, l)
		l.Record(established(1, start))
		synctest.Wait()
		if l.wait() {
			t.Error("new connections have to wait at once")
		}
		<-time.After(slow + time.Millisecond)
		if !l.wait() {
			t.Errorf("new connections need not wait after %v", slow)
		}
		l.Record(established(2, start))
		if err := stop(); err == nil || err.Error() != "write log -: the write does not end, 2 records are lost" {
			t.Errorf("error = %v", err)
		}
		close(reader.reads) // so that its goroutine ends
		synctest.Wait()
	})
}

// With count no connection waits for the sink.
func TestCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk := &full{w: &bytes.Buffer{}}
		l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: "-", OnFull: config.Count}, Options{Stdout: disk})}, LogOptions{})
		var passed passing
		l.OnWritten(passed.add)
		stop := running(t, l)
		l.Record(established(1, start))
		synctest.Wait()
		if got := passed.take(); !slices.Equal(got, []uint16{1}) || l.wait() {
			t.Errorf("connections %d may pass, want 1", got)
		}
		if err := stop(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error = %v", err)
		}
		if got := l.Stats().Lost[record.WriteError]; got != 1 {
			t.Errorf("%d lost, want 1", got)
		}
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		out  func() io.Writer
		want string
	}{
		{"full", func() io.Writer { return &full{w: &bytes.Buffer{}} }, "write log -: no space left on device"},
		{"slow", func() io.Writer { return &stopped{reads: make(chan struct{})} }, "write log -: it is too slow, 2 records wait\nwrite log -: the write does not end, 3 records are lost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				out := tt.out()
				l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: "-", OnFull: config.Stop}, Options{Stdout: out})}, LogOptions{Queue: 2})
				done := make(chan error)
				go func() { done <- l.Run(t.Context()) }()
				for range 4 {
					l.Record(established(1, start))
					synctest.Wait()
				}
				if err := <-done; err == nil || err.Error() != tt.want {
					t.Errorf("Run ended with %v\nwant %s", err, tt.want)
				}
				if s, ok := out.(*stopped); ok {
					close(s.reads)
				}
				synctest.Wait()
			})
		})
	}
}

// Of a batch that went out in part the rest follows: no line is broken, none is there twice.
func TestSuspendTorn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	disk := &full{w: &out, room: 700}
	s := open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: disk})
	s.keep = true
	must(t, s.Record(established(1, start)))
	for range 3 {
		if err := s.Flush(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("error = %v", err)
		}
	}
	must(t, s.Record(established(2, start)))
	disk.room = 1 << 20
	must(t, s.Close())
	if got := ports(t, out.String()); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("log has %d, want 1 and 2:\n%s", got, &out)
	}
}

func TestSync(t *testing.T) {
	t.Parallel()
	s := open(t, config.Sink{Format: config.JSON, Path: logPath(t), Sync: true}, Options{})
	must(t, s.Record(established(1, start)))
	must(t, s.Flush())
	s.out.Descriptor().Close() // from here on nothing works
	if err := s.Record(established(2, start)); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err == nil {
		t.Error("no error")
	}
}

// There is as much room for the records of connections as the log says, and ends of connections
// have room of their own.
func TestSuspendKeepsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader := &stopped{reads: make(chan struct{})}
		const queue, reserve = 4, 8
		l := NewLog([]*Sink{open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: reader})}, LogOptions{Queue: queue, Reserve: reserve})
		stop := running(t, l)
		l.Record(established(1, start))
		synctest.Wait() // it is being written, and that does not end
		room := l.State(time.Now()).Room
		for range room {
			l.Record(established(2, start))
		}
		for range queue + reserve {
			l.Flow(record.AttributedFlow{Flow: flow.Flow{Started: start}})
		}
		if got := l.Stats().Lost[record.QueueFull]; got != 0 || room < reserve {
			t.Errorf("%d records were lost, with room for %d", got, room)
		}
		if s := l.State(time.Now()); !s.Handshakes || s.Room != 0 {
			t.Errorf("room for %d more", s.Room)
		}
		close(reader.reads)
		<-time.After(2 * lazy)
		synctest.Wait()
		if l.wait() {
			t.Error("new connections have to wait when all is written")
		}
		must(t, stop())
		if got := len(ports(t, reader.String())); got != 1+room+queue+reserve {
			t.Errorf("%d records, want %d", got, 1+room+queue+reserve)
		}
	})
}
