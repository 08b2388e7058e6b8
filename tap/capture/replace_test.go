package capture_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/capture"
)

// TestReplace gives frames a longer packet. Their link headers stay, but for fields that count.
func TestReplace(t *testing.T) {
	t.Parallel()
	packet := syn4()
	longer := append(slices.Clone(packet), 1, 2, 3, 4)
	sll := append(make([]byte, 14), 8, 0)
	tests := []struct {
		name        string
		link        capture.LinkType
		frame, want []byte
	}{
		{"Ethernet", 1, ether(packet, 0x0800), ether(longer, 0x0800)},
		{"802.3", 1, ether(packet, 48, 0xaaaa, 0x0300, 0, 0x0800), ether(longer, 52, 0xaaaa, 0x0300, 0, 0x0800)},
		{"VLAN", 1, ether(packet, 0x8100, 100, 0x0800), ether(longer, 0x8100, 100, 0x0800)},
		{"PPPoE", 1, ether(packet, 0x8864, 0x1100, 1, 42, 0x0021), ether(longer, 0x8864, 0x1100, 1, 46, 0x0021)},
		{"PPPoE in a VLAN", 1, ether(packet, 0x8100, 5, 0x8864, 0x1100, 1, 42, 0x0021), ether(longer, 0x8100, 5, 0x8864, 0x1100, 1, 46, 0x0021)},
		{"cooked", 113, slices.Concat(sll, packet), slices.Concat(sll, longer)},
		{"raw", 101, packet, longer},
	}
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, capture.LinkTypeRaw, time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if err := w.WriteFrame(tt.link, time.Unix(1700000000, 0), tt.frame, len(tt.frame)+10); err != nil {
			t.Fatal(err)
		}
	}
	r, err := capture.NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		p, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if p.LinkType != tt.link {
			t.Errorf("%s: written with link type %d, read with %d", tt.name, tt.link, p.LinkType)
		}
		frame, length := p.Replace(longer, p.NetworkLength+4)
		if diff := cmp.Diff(tt.want, frame); diff != "" || length != len(tt.want)+10 {
			t.Errorf("%s: Replace gives %d bytes on the wire, want %d; frame (-want +got):\n%s", tt.name, length, len(tt.want)+10, diff)
		}
		if diff := cmp.Diff(tt.frame, p.Frame); diff != "" {
			t.Errorf("%s: Replace changed the packet (-want +got):\n%s", tt.name, diff)
		}
	}
}
