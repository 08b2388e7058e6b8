package gso

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// frameOf returns a packet as a router gives it to the NAT.
func frameOf(b []byte) *Frame {
	f := &tun.Frame{Head: b[:min(len(b), tun.HeadSize)]}
	f.Body = b[len(f.Head):]
	f.Parse()
	return &Frame{Frame: f}
}

func TestBurst(t *testing.T) {
	t.Parallel()
	client := netip.MustParseAddrPort("198.51.100.1:5000")
	other := netip.MustParseAddrPort("198.51.100.1:5001")
	server := netip.MustParseAddrPort("203.0.113.1:443")
	type sent struct{ Datagrams, Segment, Bytes int }
	repeat := func(n, size int) (sizes []int) {
		for range n {
			sizes = append(sizes, size)
		}
		return sizes
	}
	for _, tt := range []struct {
		name   string
		sizes  []int
		client func(i int) netip.AddrPort // nil = always the same
		want   []sent
	}{
		{"one", []int{100}, nil, []sent{{1, 0, 100}}},
		{"equal", []int{100, 100, 100}, nil, []sent{{3, 100, 300}}},
		{"shorter last", []int{100, 100, 60, 60}, nil, []sent{{3, 100, 260}, {1, 0, 60}}},
		{"longer", []int{100, 200, 200}, nil, []sent{{1, 0, 100}, {2, 200, 400}}},
		{"empty apart", []int{100, 0, 100}, nil, []sent{{1, 0, 100}, {0, 0, 0}, {1, 0, 100}}},
		{"as many as the kernel takes", repeat(70, 10), nil, []sent{{64, 10, 640}, {6, 10, 60}}},
		{"as long as a packet can be", repeat(50, 1400), nil, []sent{
			{46, 1400, 46 * 1400}, {4, 1400, 4 * 1400},
		}},
		{"another client between", []int{100, 100, 100}, func(i int) netip.AddrPort {
			return []netip.AddrPort{client, other, client}[i]
		}, []sent{{1, 0, 100}, {1, 0, 100}, {1, 0, 100}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := NewBurst()
			var got []sent
			var payload, want []byte
			flush := func() {
				if b.Empty() {
					return
				}
				count := b.count
				f := b.Frame()
				head, body := f.Slice(f.Headers.Offset+packet.UDPHeaderLen, f.Headers.Length)
				payload = append(append(payload, head...), body...)
				got = append(got, sent{count, int(f.Offload.GSOSize), len(head) + len(body)})
			}
			for i, size := range tt.sizes {
				src := client
				if tt.client != nil {
					src = tt.client(i)
				}
				data := make([]byte, size)
				_, _ = rand.Read(data)
				want = append(want, data...)
				f := frameOf(tuntest.UDP{Src: src, Dst: server, Payload: data}.Packet())
				if !b.Join(f) {
					flush()
					if !b.Join(f) {
						got = append(got, sent{})
						continue
					}
				}
				if b.Full() {
					flush()
				}
			}
			flush()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if !bytes.Equal(payload, want) {
				t.Error("the bytes sent are others than those that came")
			}
		})
	}
}
