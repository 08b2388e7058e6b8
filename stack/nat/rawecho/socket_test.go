//go:build linux

package rawecho

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/hostsock"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// mapping is one with an identifier.
type mapping struct{ ident uint16 }

func (*mapping) End() {}

func (*mapping) EndIdleFlows(time.Duration) {}

func (m *mapping) enter(s *Socket) error {
	return s.enter(m, func(_ *Socket, ident uint16) { m.ident = ident })
}

// TestIdentifiers: a raw socket gives each mapping an identifier of its own, until all are taken,
// and one that was given back last comes last.
func TestIdentifiers(t *testing.T) {
	var s *Socket
	err := tuntest.NewNamespace(t).Do(func() error {
		s = &Socket{base: 0xfff0, most: mostIdents, key: key{local: netip.IPv4Unspecified()}}
		return s.open(dial.New(dial.Options{}))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(func(int) {})
	all := make([]*mapping, 3*fewIdents)
	for i := range all {
		all[i] = new(mapping)
		if err := all[i].enter(s); err != nil {
			t.Fatalf("mapping %d: %v", i, err)
		}
	}
	for i, m := range all {
		if got := s.Of(m.ident); got != m {
			t.Fatalf("mapping %d has identifier %d, which is another's", i, m.ident)
		}
	}
	for len(s.byIdent) < mostIdents {
		if err := s.grow(s.FD()); err != nil {
			t.Fatal(err)
		}
	}
	s.free = nil // others have all
	if err := new(mapping).enter(s); err == nil {
		t.Error("a mapping without an identifier")
	}
	for _, i := range []int{7, 5} {
		m := all[i]
		s.leave(m, m.ident)
		if s.leave(m, m.ident) || s.Of(m.ident) != nil {
			t.Errorf("mapping %d left and has an identifier", i)
		}
		var msg hostsock.Msghdr
		errno := s.SendFor(m, m.ident, &msg, netip.AddrPort{}, packet.Marks{}, nil)
		if errno != unix.EBADF {
			t.Errorf("mapping %d left and sent: %v", i, errno)
		}
	}
	for _, i := range []int{7, 5} {
		m := new(mapping)
		if err := m.enter(s); err != nil || m.ident != all[i].ident {
			t.Errorf("new mapping has %d, %v, want %d", m.ident, err, all[i].ident)
		}
	}
}

// The identifiers of several sets have none in common.
func TestIdentsAreParts(t *testing.T) {
	for of := 1; of <= 8; of++ {
		var taken [mostIdents]bool
		for part := range of {
			i := Idents{Part: part, Of: of}
			if i.most() < mostIdents/of {
				t.Errorf("a part of %d has %d identifiers", of, i.most())
			}
			for n := range i.most() {
				ident := i.first() + uint16(n)
				if taken[ident] {
					t.Fatalf("identifier %d is in two parts of %d", ident, of)
				}
				taken[ident] = true
			}
		}
	}
}
