package tap

import (
	"bytes"
	"net/netip"

	"syntap/tun/flow"
)

// admit refuses a SYN with an address that no client or no server may have.
func (t *Tap) admit(s *segment, head []byte) dropReason {
	if src, dst := s.Addrs(head); bytes.Equal(src, dst) {
		return dropLand
	}
	client, _ := s.Flow.Ends()
	if addr := client.Addr(); bogus(addr) || t.sources != nil && !t.sources(addr) {
		return dropSource
	}
	s.admission = t.admits()
	s.Local = t.local != nil && t.local(client.Addr())
	return pass
}

// admits says whether a SYN may begin a handshake. Segments of one that has begun pass in any case.
func (t *Tap) admits() dropReason {
	if t.admission == nil {
		return pass
	}
	switch t.admission(t.now()) {
	case flow.Wait:
		return dropWaiting
	case flow.Refuse:
		return dropRefused
	default:
		return pass
	}
}

// bogus reports whether no host can have the address (RFC 6890).
func bogus(a netip.Addr) bool {
	if a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4In6() {
		return true
	}
	first := a.As16()[12]
	return a.Is4() && (first == 0 || first >= 240)
}
