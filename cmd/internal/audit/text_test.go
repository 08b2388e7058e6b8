package audit

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
)

func TestText(t *testing.T) {
	t.Parallel()
	one, two := established(1, start), established(2, start.Add(time.Millisecond))
	two.Segments = two.Segments[:1]
	const (
		syn    = "192.0.2.1.1 > 198.51.100.2.80: S 4255483971:4255483971(0) win 65535 <mss 1460> (DF)\n"
		synAck = "198.51.100.2.80 > 192.0.2.1.1: S 4279842714:4279842714(0) ack 4255483972 win 65535 (DF)\n"
		ack    = "192.0.2.1.1 > 198.51.100.2.80: . ack 4279842715 win 65535 (DF)\n"
		syn2   = "192.0.2.1.2 > 198.51.100.2.80: S 4255483971:4255483971(0) win 65535 <mss 1460> (DF)\n"
	)
	tests := []struct {
		name string
		sink config.Sink
		want string
	}{
		{"classic", config.Sink{Format: config.Classic}, syn + synAck + ack + syn2},
		{"classic in packet order", config.Sink{Format: config.Classic, Order: config.ByPacket}, syn + syn2 + synAck + ack},
		{"modern with dates, relative", config.Sink{Format: config.Modern, Timestamp: tcpdump.Date, Relative: true}, "" +
			"2026-11-23 09:50:00.123456 IP 192.0.2.1.1 > 198.51.100.2.80: Flags [S], seq 4255483971, win 65535, options [mss 1460], length 0\n" +
			"2026-11-23 09:50:00.124318 IP 198.51.100.2.80 > 192.0.2.1.1: Flags [S.], seq 4279842714, ack 4255483972, win 65535, length 0\n" +
			"2026-11-23 09:50:00.124360 IP 192.0.2.1.1 > 198.51.100.2.80: Flags [.], ack 1, win 65535, length 0\n" +
			"2026-11-23 09:50:00.124456 IP 192.0.2.1.2 > 198.51.100.2.80: Flags [S], seq 4255483971, win 65535, options [mss 1460], length 0\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			tt.sink.Path = "-"
			s := open(t, tt.sink, Options{Stdout: &out, Location: time.FixedZone("", 2*3600)})
			// Both attempts are open at a time: the second one's SYN passes before the first one's
			// SYN-ACK.
			for _, seg := range []handshake.Segment{one.Segments[0], two.Segments[0], one.Segments[1], one.Segments[2]} {
				must(t, s.Segment(&seg))
			}
			must(t, s.Record(one))
			must(t, s.Record(two))
			if out.Len() > 0 {
				t.Errorf("%d bytes written before Flush", out.Len())
			}
			must(t, s.Flush())
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// JSON and pcapng have no packet order: they take records in it too.
func TestOrderOfRecords(t *testing.T) {
	t.Parallel()
	for _, format := range []config.Format{config.JSON, config.PCAPNG} {
		var ordered, plain bytes.Buffer
		for out, order := range map[*bytes.Buffer]config.Order{&ordered: config.ByPacket, &plain: config.ByHandshake} {
			s := open(t, config.Sink{Format: format, Path: "-", Order: order}, Options{Stdout: out})
			r := established(1, start)
			must(t, s.Segment(&r.Segments[0]))
			must(t, s.Record(r))
			must(t, s.Close())
		}
		if plain.Len() == 0 || !bytes.Equal(ordered.Bytes(), plain.Bytes()) {
			t.Errorf("%s in packet order: %d bytes, in handshake order: %d", format, ordered.Len(), plain.Len())
		}
	}
}
