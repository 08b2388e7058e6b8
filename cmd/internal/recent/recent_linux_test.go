package recent

import (
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/compact"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tap/handshake"
	"syntap/tun/flow"
)

func writer(t *testing.T) *Writer {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// connect keeps a handshake, which its port tells from others.
func connect(w *Writer, port int) *record.Attributed {
	a := &record.Attributed{Record: recordtest.Handshake(uint16(port), recordtest.Start), Opening: &record.Opening{
		Owner: &record.Owner{UID: 1000, User: "alice", PID: 7, Process: "curl"},
		Name:  &record.Name{Name: "www.example.com", Source: "dns"},
	}}
	w.Item(&compact.Item{Handshake: a})
	return a
}

// end keeps the end of a handshake's connection.
func end(w *Writer, a *record.Attributed, inbound uint64) {
	w.Item(&compact.Item{Flow: &record.AttributedFlow{Flow: flow.Flow{
		Key: a.Key(), Started: a.Time, Duration: time.Second, Inbound: inbound, End: flow.ServerFIN, Opening: a.Opening,
	}}})
}

// ask keeps a datagram of so many characters.
func ask(w *Writer, length int) {
	o := new(record.Opening)
	w.Item(&compact.Item{Datagram: &record.AttributedDatagram{Opening: o, Datagram: &flow.Datagram{
		Proto: flow.UDP, Client: netip.MustParseAddrPort("192.0.2.1:1"), Server: netip.MustParseAddrPort("198.51.100.53:53"),
		Time: recordtest.Start, Opening: o, DNS: &flow.DNS{Queries: []flow.Question{{Name: strings.Repeat("x", length), Type: 1}}},
	}}})
}

// TestKept has another mapping read records, with all that ties them together.
func TestKept(t *testing.T) {
	t.Parallel()
	w := writer(t)
	first := connect(w, 1)
	ask(w, 10)
	second := connect(w, 2)
	end(w, second, 5)
	var none *Writer
	none.Item(&compact.Item{Handshake: first})
	fd, err := unix.Dup(int(w.File().Fd()))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(os.NewFile(uintptr(fd), "recent"))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.All().Newest(); n != 4 || r.Handshakes().Newest() != 2 {
		t.Errorf("%d records, %d handshakes; want 4, 2", n, r.Handshakes().Newest())
	}
	for _, tt := range []struct {
		list   List
		number uint64
		want   Entry
	}{
		{r.All(), 1, Entry{Number: 1, Type: format.Handshake, Seq: 1}},
		{r.All(), 2, Entry{Number: 2, Type: format.Datagram, Seq: 1}},
		{r.All(), 3, Entry{Number: 3, Type: format.Handshake, Seq: 2, End: 4}},
		{r.All(), 4, Entry{Number: 4, Type: format.Flow, TCP: true, Seq: 1, Opening: 2, OpeningAt: 3}},
		{r.Handshakes(), 2, Entry{Number: 2, Type: format.Handshake, Seq: 2, End: 4}},
	} {
		got := tt.list.At(tt.number)
		if got == nil {
			t.Fatalf("record %d is not kept", tt.number)
		}
		item, err := got.Item()
		if err != nil {
			t.Error(err)
		}
		if f := item.Flow; f != nil {
			o := record.OpeningOf(&f.Flow)
			if o == nil || o.Owner.Process != "curl" || o.Name.Name != "www.example.com" || f.Inbound != 5 {
				t.Errorf("flow %+v of %+v, want that of curl", f, o)
			}
		}
		got.message = nil
		if diff := cmp.Diff(tt.want, *got, cmp.AllowUnexported(Entry{})); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", tt.number, diff)
		}
	}
	for _, number := range []uint64{0, 5, 1 + Records, ^uint64(0)} {
		if r.All().At(number) != nil {
			t.Errorf("record %d is kept", number)
		}
	}
}

// TestReadersCannotWrite: neither by the file, nor by memory that is mapped from it.
func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	w := writer(t)
	fd := int(w.File().Fd())
	if _, err := unix.Write(fd, []byte("x")); err == nil {
		t.Error("the file can be written")
	}
	if _, err := unix.Mmap(fd, 0, memoryBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		t.Error("the memory can be mapped to write")
	}
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("the file can be cut")
	}
	b, err := unix.Mmap(fd, 0, memoryBytes, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err == nil {
		t.Error("mapped memory can be made writable")
	}
}

// TestFloods has floods of long datagrams and of handshakes go by: the latter are kept by
// themselves, and a record that is too long is none.
func TestFloods(t *testing.T) {
	t.Parallel()
	w := writer(t)
	r := w.Reader()
	old := connect(w, 1)
	for range 2 * Records {
		ask(w, 1000)
	}
	if r.Handshakes().At(1) == nil || r.All().At(1) != nil {
		t.Error("the flood has pushed the handshake out, or its place among all")
	}
	if r.All().At(r.All().Newest()) == nil {
		t.Error("the newest record is not kept")
	}
	kept := 0
	for n := range r.All().Newest() {
		if e := r.All().At(n + 1); e != nil {
			kept++
		}
	}
	if most := bytesOfOthers / 1000; kept > most || kept < most/2 {
		t.Errorf("%d records of a thousand bytes are kept, want up to %d", kept, most)
	}
	end(w, old, 1)
	if e := r.Handshakes().At(1); e == nil || e.End != r.All().Newest() {
		t.Errorf("handshake %+v, want its end %d", e, r.All().Newest())
	}
	for n := range 3 * Handshakes {
		connect(w, n)
	}
	for n := r.Handshakes().Newest(); n > r.Handshakes().Newest()-Handshakes; n-- {
		if r.Handshakes().At(n) == nil {
			t.Fatalf("handshake %d of %d is not kept", n, r.Handshakes().Newest())
		}
	}
	w.mu.Lock()
	w.addOpening(format.Datagram, loggedFlag, nil, make([]byte, bytesOfOthers))
	w.mu.Unlock()
	if r.All().At(r.All().Newest()) != nil || r.All().At(r.All().Newest()-1) == nil {
		t.Error("a record that is too long is kept, or the one before is not")
	}
}

// TestReadBeside reads while another goroutine writes: each record that is found is whole.
func TestReadBeside(t *testing.T) {
	t.Parallel()
	w := writer(t)
	r := w.Reader()
	done := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for port := 0; ; port++ {
			select {
			case <-done:
				return
			default:
			}
			a := connect(w, port)
			a.Outcome = handshake.Established
			end(w, a, uint64(port))
		}
	})
	defer writing.Wait()
	defer close(done)
	found := 0
	for found < 20_000 {
		newest := r.All().Newest()
		for _, n := range []uint64{newest, newest - min(newest, Records-1), newest - min(newest, Records)} {
			e := r.All().At(n)
			if e == nil {
				continue
			}
			found++
			item, err := e.Item()
			if err != nil {
				t.Fatalf("record %d: %v", n, err)
			}
			if h := item.Handshake; h != nil && (h.Client.Port() != uint16(e.Seq-1) || 2*e.Seq-1 != n) {
				t.Fatalf("record %d is handshake %d of port %d", n, e.Seq, h.Client.Port())
			}
			if f := item.Flow; f != nil && (f.Inbound != e.Seq-1 || 2*e.Seq != n || e.OpeningAt != n-1) {
				t.Fatalf("record %d is flow %d with %d bytes of %d", n, e.Seq, f.Inbound, e.OpeningAt)
			}
		}
	}
}

func BenchmarkItem(b *testing.B) {
	w, err := New()
	if err != nil {
		b.Fatal(err)
	}
	a := connect(w, 1)
	f := &record.AttributedFlow{Flow: flow.Flow{Key: a.Key(), Started: a.Time, End: flow.ServerFIN, Opening: a.Opening}}
	b.ReportAllocs()
	for b.Loop() {
		w.Item(&compact.Item{Handshake: a})
		w.Item(&compact.Item{Flow: f})
	}
	b.ReportMetric(float64(w.writtenShakes)/float64(w.handshakes), "B/handshake")
	b.ReportMetric(float64(w.writtenElse)/float64(w.ends), "B/flow")
}
