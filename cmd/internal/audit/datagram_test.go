package audit

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/record/recordtest"
	"syntap/tun/flow"
)

// begun is the beginning of a flow of a client with a port.
func begun(sport uint16) *record.AttributedDatagram {
	o := new(record.Opening)
	return &record.AttributedDatagram{Opening: o, Datagram: &flow.Datagram{
		Proto: flow.UDP, Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), sport),
		Server: netip.MustParseAddrPort("198.51.100.2:7"), Time: start, Upstream: netip.MustParseAddrPort("198.51.100.2:7"), Opening: o,
	}}
}

// over is its end.
func over(d *record.AttributedDatagram) record.AttributedFlow {
	return record.AttributedFlow{Flow: flow.Flow{Datagram: d.Datagram, Started: d.Time}}
}

func denied(sport uint16) *record.AttributedDatagram {
	d := begun(sport)
	d.Denied, d.Decision = true, &flow.Decision{Deny: true, Rule: "egress.deny", Reason: "egress.deny forbids it"}
	return d
}

// lines returns the records of a JSON log, each as its type, its port and the number of its
// opening: "flow 5 of 1". They have to fit the schema.
func lines(t *testing.T, log string) (all []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if err := recordtest.Validate([]byte(line)); err != nil {
			t.Error(err)
		}
		var r record.Flow
		must(t, json.Unmarshal([]byte(line), &r))
		if r.Seq != uint64(len(all)+1) {
			t.Errorf("record %d has seq %d", len(all)+1, r.Seq)
		}
		text := r.Msg
		if r.SPort > 0 {
			b, _ := json.Marshal(r.SPort)
			text += " " + string(b)
		}
		if of := r.DatagramSeq + r.HandshakeSeq; of > 0 {
			b, _ := json.Marshal(of)
			text += " of " + string(b)
		}
		all = append(all, text)
	}
	return all
}

// addDatagram collects the client ports of datagrams that may leave.
func (p *passing) addDatagram(d *flow.Datagram) { p.add(flow.Key{Client: d.Client}, 0, nil) }

// A datagram leaves when the JSON logs have its record; a log of text knows nothing of it, and
// keeps none back. A log on a full disk keeps datagrams out.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out, text bytes.Buffer
		disk, broken := &full{w: &out}, &full{w: &text}
		s := open(t, config.Sink{Format: config.JSON, Path: "-"}, Options{Stdout: disk})
		classic := open(t, config.Sink{Format: config.Classic, Path: "-"}, Options{Stdout: broken})
		l := NewLog([]*Sink{s, classic}, LogOptions{Queue: 4, Reserve: 100})
		var passed passing
		l.OnDatagramWritten(passed.addDatagram)
		stop := running(t, l)
		expect := passed.expecting(t, l.waitDatagrams)
		first, last := begun(1), begun(3)
		l.Datagram(first)
		l.Datagram(denied(2))
		expect("full", nil, true)
		<-time.After(time.Minute)
		expect("full for long", nil, true)
		disk.free(1 << 20)
		<-time.After(lastRetry)
		expect("room", []uint16{1}, false)
		l.Flow(over(first))
		l.Datagram(last)
		expect("next", []uint16{3}, false)
		l.Record(established(4, start)) // the log of text fails, and keeps connections out
		synctest.Wait()
		if !l.wait() {
			t.Error("connections need not wait while the text cannot be written")
		}
		expect("text full", nil, false)
		l.Flow(over(last))
		broken.free(1 << 20)
		<-time.After(lastRetry)
		must(t, stop())
		want := []string{
			"datagram 1", "datagram 2", "datagram 3", "handshake 4", "flow 1 of 1", "flow 3 of 3", "end",
		}
		if diff := cmp.Diff(want, lines(t, out.String())); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
		if !strings.HasSuffix(out.String(), `"records":{"handshake":1,"datagram":3,"flow":2,"finding":0,"gap":0}}`+"\n") {
			t.Errorf("the log does not end in the number of its records: %s", &out)
		}
		if strings.Count(text.String(), "\n") != 3 {
			t.Errorf("text of more than one handshake: %s", &text)
		}
		if got := l.Stats(); got.Records != 6 {
			t.Errorf("%d records, want 6", got.Records)
		}
	})
}

// No datagram waits for a log that may lose records, or has none of datagrams.
func TestDatagramsWithoutGate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]config.Sink{
		"count": {Format: config.JSON, Path: "-", OnFull: config.Count}, "text": {Format: config.Classic, Path: "-"},
	} {
		l := NewLog([]*Sink{open(t, c, Options{Stdout: &full{w: new(bytes.Buffer)}})}, LogOptions{})
		var passed passing
		l.OnDatagramWritten(passed.addDatagram)
		l.Datagram(begun(1))
		if got := passed.take(); len(got) != 1 || l.waitDatagrams() {
			t.Errorf("%s: datagrams %d may leave at once, want one", name, got)
		}
	}
}

// The record of an end names no number that its opening has lost with its batch.
func TestOpeningLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		disk := &full{w: &out}
		s := open(t, config.Sink{Format: config.JSON, Path: "-", OnFull: config.Count}, Options{Stdout: disk})
		l := NewLog([]*Sink{s}, LogOptions{})
		stop := running(t, l)
		lost, kept := begun(1), begun(2)
		l.Datagram(lost)
		synctest.Wait()
		disk.free(1 << 20)
		l.Datagram(kept)
		synctest.Wait()
		l.Flow(over(lost))
		l.Flow(over(kept))
		must(t, stop())
		want := []string{"gap", "datagram 2", "flow 1", "flow 2 of 2", "end"}
		if diff := cmp.Diff(want, lines(t, out.String())); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}

// A flow that ends behind a reload names the record by which it began.
func TestOpeningOverReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := config.Sink{Format: config.JSON, Path: "-"}
		o := Options{Stdout: &out}
		l := NewLog([]*Sink{open(t, c, o)}, LogOptions{Sinks: o})
		stop := running(t, l)
		d, h := begun(1), established(2, start)
		h.Opening = new(record.Opening)
		l.Datagram(d)
		l.Record(h)
		synctest.Wait()
		c.OnFull = config.Count
		must(t, l.Reload(t.Context(), []config.Sink{c}))
		l.Flow(over(d))
		l.Flow(record.AttributedFlow{Flow: flow.Flow{Key: h.Key(), Started: start, End: flow.ClientFIN, Opening: h.Opening}})
		must(t, stop())
		want := []string{"datagram 1", "handshake 2", "flow 1 of 1", "flow 2 of 2", "end"}
		if diff := cmp.Diff(want, lines(t, out.String())); diff != "" {
			t.Errorf("records (-want +got):\n%s", diff)
		}
	})
}
