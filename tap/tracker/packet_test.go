package tracker_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun/tuntest"
)

// TestVLANs sends the segments of handshakes in several VLANs. The tags make no difference: the two
// directions of a connection often have different ones, and a segment that is captured on a second
// VLAN is a copy.
func TestVLANs(t *testing.T) {
	t.Parallel()
	var rec taptest.Recorder
	tr := tracker.New(rec.Options())
	observe := func(b []byte, tags ...uint16) {
		tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: b, Length: len(b), VLANs: tags})
	}
	const priority = 5 << 13
	steps := taptest.Script(t, taptest.Handshake)
	observe(steps[0].TCP.Packet(), 100)
	observe(steps[0].TCP.Packet(), 200, 7)
	observe(steps[1].TCP.Packet())
	observe(steps[2].TCP.Packet(), priority|100)
	steps[0].TCP.Src = netip.AddrPortFrom(steps[0].TCP.Src.Addr(), 40001)
	observe(steps[0].TCP.Packet())
	unreachable := tuntest.ICMP{
		Src: taptest.Server.Addr(), Dst: taptest.Client.Addr(), Type: 3, Code: 1,
		Payload: steps[0].TCP.Packet(),
	}
	observe(unreachable.Packet(), 9)
	tr.Flush()
	var got []string
	for _, r := range rec.Records {
		var tags [][]uint16
		for _, s := range r.Segments {
			tags = append(tags, s.Packet.VLANs)
		}
		got = append(got, fmt.Sprint(taptest.Describe(r), tags))
	}
	want := []string{
		"established 1000/5000 copies 1: S SA A[[100] [] [41060]]",
		"unreachable 1000: S[[]]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// TestLyingLengths replays SYNs whose lengths cannot be right. A capture may hold such: of packets
// taken before offload filled the field in, or cut by its snap length.
func TestLyingLengths(t *testing.T) {
	t.Parallel()
	syn4, syn6 := taptest.SYN().Packet(), taptest.SYN6().Packet()
	tests := []struct {
		name   string
		data   []byte
		length int
		want   string
	}{
		{"IPv4 length 0", taptest.Edit(syn4, 3, 0), len(syn4), "no_reply 1000: S"},
		{"IPv6 length 0", taptest.Edit(syn6, 5, 0), len(syn6), "no_reply 1000: S"},
		{"longer than the wire", taptest.Edit(syn4, 3, 200), len(syn4), "no_reply 1000: S"},
		{"data offset behind the end", taptest.Edit(syn4, 32, 0xf0), len(syn4), "no_reply 1000: S"},
		{"options cut", syn4[:41], len(syn4), "no_reply 1000: S"},
		{"header cut", syn4[:39], len(syn4), ""},
		{"ends within the TCP header", taptest.Edit(syn4, 3, 30), len(syn4), ""},
		{"ends within the IP header", taptest.Edit(syn4, 3, 12), len(syn4), ""},
		{"data offset 4", taptest.Edit(syn4, 32, 0x40), len(syn4), ""},
		{"authentication header", behind(syn6, []byte{51, 1, 11: 0}), len(syn6) + 12, "no_reply 1000: S"},
	}
	for _, tt := range tests {
		var rec taptest.Recorder
		tr := tracker.New(rec.Options())
		tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: tt.data, Length: tt.length})
		tr.Flush()
		if diff := cmp.Diff(taptest.Lines(tt.want), rec.Take()); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", tt.name, diff)
		}
	}
}

// behind puts an extension header, which begins with its own type, between IPv6 and TCP.
func behind(tcp []byte, header []byte) []byte {
	b := slices.Concat(tcp[:40], header, tcp[40:])
	b[6], b[40] = header[0], 6
	b[5] += byte(len(header))
	return b
}
