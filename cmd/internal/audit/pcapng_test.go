package audit

import (
	"bytes"
	"io"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/record"
	"syntap/tap/capture"
	"syntap/tap/handshake"
)

func TestPCAPNG(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := open(t, config.Sink{Format: config.PCAPNG, Path: "-"}, Options{Stdout: &out})
	if out.Len() == 0 {
		t.Error("a capture without packets has no head")
	}
	r := established(1, start)
	r.Segments[0].Packet.Length += 100
	must(t, s.Record(r))
	must(t, s.Close())

	c, err := capture.NewReader(&out)
	must(t, err)
	for i, want := range r.Segments {
		p, err := c.Next()
		must(t, err)
		if !p.Time.Equal(want.Time) || p.LinkType != capture.LinkTypeRaw || !bytes.Equal(p.Network, want.Packet.Data) || p.NetworkLength != want.Packet.Length {
			t.Errorf("packet %d: %+v, want %+v", i, p, want)
		}
	}
	if _, err := c.Next(); err != io.EOF {
		t.Errorf("after the last packet: %v, want io.EOF", err)
	}
}

func TestPCAPNGComments(t *testing.T) {
	t.Parallel()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip(err)
	}
	path := logPath(t)
	aborted := established(2, start)
	aborted.Outcome, aborted.AbortedBy, aborted.ACKDelay = handshake.Aborted, handshake.Client, -1
	// Two runs into one file.
	for _, r := range []*record.Attributed{established(1, start), aborted} {
		s := open(t, config.Sink{Format: config.PCAPNG, Path: path}, Options{})
		must(t, s.Record(r))
		must(t, s.Close())
	}
	got, err := exec.Command(tshark, "-r", path, "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "frame.comment").Output()
	must(t, err)
	want := "1\t80\toutcome=established synack_us=862 ack_us=41\n80\t1\toutcome=established synack_us=862 ack_us=41\n1\t80\toutcome=established synack_us=862 ack_us=41\n" +
		"2\t80\toutcome=aborted aborted_by=client synack_us=862\n80\t2\toutcome=aborted aborted_by=client synack_us=862\n2\t80\toutcome=aborted aborted_by=client synack_us=862\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("tshark (-want +got):\n%s", diff)
	}
}
