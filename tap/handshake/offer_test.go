package handshake_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun/tuntest"
)

func TestOfferIPv6(t *testing.T) {
	t.Parallel()
	s := taptest.SYN6()
	s.IP.TTL = 9
	b := s.Packet()
	var rec taptest.Recorder
	tr := tracker.New(rec.Options())
	tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: b, Length: len(b)})
	tr.Flush()
	mss := uint16(1460)
	if diff := cmp.Diff(handshake.Offer{Window: 64240, TTL: 9, MSS: &mss}, rec.Records[0].SYN); diff != "" {
		t.Errorf("offer (-want +got):\n%s", diff)
	}
}

func TestOffer(t *testing.T) {
	t.Parallel()
	mss := func(v uint16) *uint16 { return &v }
	tests := []struct {
		name    string
		options []byte
		flags   uint8
		want    handshake.Offer
	}{
		{"none", nil, tuntest.SYN, handshake.Offer{}},
		{"MSS twice", []byte{2, 4, 1, 0, 2, 4, 2, 0}, tuntest.SYN, handshake.Offer{MSS: mss(512)}},
		{"behind the end of the list", []byte{0, 2, 4, 1, 0, 4, 2}, tuntest.SYN, handshake.Offer{}},
		{"length 0", []byte{4, 0, 2, 4, 1, 0}, tuntest.SYN, handshake.Offer{}},
		{"length 1", []byte{4, 1, 2, 4, 1, 0}, tuntest.SYN, handshake.Offer{}},
		{"too long", []byte{2, 4, 1, 0, 8, 10, 0, 0}, tuntest.SYN, handshake.Offer{MSS: mss(256)}},
		{"wrong lengths", []byte{2, 3, 1, 3, 2, 4, 3, 0, 8, 2, 1, 1}, tuntest.SYN, handshake.Offer{}},
		{"ECN asked for", nil, tuntest.SYN | tuntest.ECE | tuntest.CWR, handshake.Offer{ECN: true}},
		{"half of it", nil, tuntest.SYN | tuntest.ECE, handshake.Offer{}},
	}
	for _, tt := range tests {
		s := taptest.SYN()
		s.Flags, s.Options, s.Window = tt.flags, tt.options, 0
		s.IP.TTL = 9
		tt.want.TTL = 9
		b := s.Packet()
		var rec taptest.Recorder
		tr := tracker.New(rec.Options())
		tr.Observe(taptest.Epoch, &tcpdump.Packet{Data: b, Length: len(b)})
		tr.Flush()
		if diff := cmp.Diff(tt.want, rec.Records[0].SYN); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
