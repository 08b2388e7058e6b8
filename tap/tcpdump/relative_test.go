package tcpdump

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestRelative(t *testing.T) {
	t.Parallel()
	reply := func(b []byte) []byte {
		b = ip4(protoTCP, with(b, 0, 0, 7, 1051>>8, 1051&0xff))
		return with(b, 12, 198, 51, 100, 1, 192, 0, 2, 1)
	}
	numbers := func(b []byte, seq, ack byte) []byte { return with(b, 7, seq, 0, 0, 0, ack) }
	steps := []struct {
		name string
		b    []byte
		want string
	}{
		{"a SYN is absolute", ip4(protoTCP, numbers(syn(), 10, 0)), "Flags [S], seq 778, win 512, length 0"},
		{"so is a SYN-ACK", reply(numbers(synACK(), 20, 11)), "Flags [S.], seq 788, ack 11, win 512, length 0"},
		{"third segment", ip4(protoTCP, with(ack(), 4, 0, 0, 0, 11, 0, 0, 3, 21)), "Flags [.], ack 1, win 512, length 0"},
		{"data", ip4(protoTCP, with(tcp(flagACK, nil, 1, 2), 4, 0, 0, 0, 11, 0, 0, 3, 21)), "Flags [.], seq 1:3, ack 1, win 512, length 2"},
		{
			"SACK counts from the peer's number",
			reply(with(ack(1, 1, 5, 10, 0, 0, 0, 13, 0, 0, 0, 15), 4, 0, 0, 3, 21, 0, 0, 0, 11)),
			"Flags [.], ack 1, win 512, options [nop,nop,sack 1 {3:5}], length 0",
		},
		{"a RST without ACK is absolute", reply(with(tcp(flagRST, nil), 4, 0, 0, 3, 21)), "Flags [R], seq 789, win 512, length 0"},
		{"numbers wrap", ip4(protoTCP, with(tcp(flagACK|flagRST, nil), 4, 0, 0, 0, 9, 0, 0, 3, 21)), "Flags [R.], seq 4294967295, ack 1, win 512, length 0"},
		{"a new SYN-ACK begins anew", reply(with(synACK(), 4, 0, 0, 0, 50, 0, 0, 0, 100)), "Flags [S.], seq 50, ack 100, win 512, length 0"},
		{"and is counted from", ip4(protoTCP, with(ack(), 4, 0, 0, 0, 100, 0, 0, 0, 51)), "Flags [.], ack 1, win 512, length 0"},
		{"another connection", with(ip4(protoTCP, ack()), 15, 9), "Flags [.], ack 2000, win 512, length 0"},
		{"IPv6 is another one too", ip6(protoTCP, ack()), "Flags [.], ack 2000, win 512, length 0"},
		{"and continues", ip6(protoTCP, ack()), "Flags [.], ack 1, win 512, length 0"},
	}
	p := Printer{Dialect: Modern, Relative: true}
	for _, s := range steps {
		line := string(p.Append(nil, time.Time{}, packet(s.b)))
		if _, got, _ := strings.Cut(line, ": "); got != s.want {
			t.Errorf("%s:\n got %q\nwant %q", s.name, got, s.want)
		}
	}
}

// TestRelativeBound fills the table: the oldest conversation must be forgotten and no other one.
func TestRelativeBound(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddrPort("192.0.2.1:80")
	client := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i >> 16)}), uint16(i))
	}
	var c conversations
	for i := range maxConversations + 1 {
		c.relative(client(i), server, true, 1000, 2000)
	}
	if len(c.initial) != maxConversations {
		t.Errorf("the table holds %d conversations, want %d", len(c.initial), maxConversations)
	}
	if seq, _, _ := c.relative(client(1), server, false, 1001, 2000); seq != 1 {
		t.Errorf("seq of the second conversation = %d, want 1", seq)
	}
	if seq, _, _ := c.relative(client(0), server, false, 1001, 2000); seq != 1001 {
		t.Errorf("seq of the first conversation = %d, want the absolute 1001", seq)
	}
	if seq, _, _ := c.relative(client(1), server, false, 1001, 2000); seq != 1001 {
		t.Errorf("seq of the second conversation after the first one's return = %d, want 1001", seq)
	}
}

// TestRelativeUnbounded has more conversations than the table holds by default, as tcpdump does.
func TestRelativeUnbounded(t *testing.T) {
	t.Parallel()
	server := netip.MustParseAddrPort("192.0.2.1:80")
	client := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i >> 16)}), uint16(i))
	}
	c := conversations{limit: -1}
	for i := range maxConversations + 1000 {
		c.relative(client(i), server, true, 1000, 2000)
	}
	if seq, _, _ := c.relative(client(0), server, false, 1001, 2000); seq != 1 || len(c.order) > 0 {
		t.Errorf("seq of the first conversation = %d, want 1; %d conversations wait to be forgotten", seq, len(c.order))
	}
}
