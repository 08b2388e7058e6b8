package owner

import (
	"errors"
	"net/netip"
	"slices"
)

var errShared = errors.New("several users hold such sockets")

// candidates are the sockets that may have sent a packet. A socket may send to other destinations
// than that to which it is connected, so all at a port are candidates; but the one that is
// connected to the destination, or else is not connected, is first.
type candidates struct {
	local, remote netip.AddrPort
	device        uint32 // by which the packet came; 0 = not known
	all           []bound
}

// maxCandidates bounds what sockets at one port cost.
const maxCandidates = 16

// add adds a socket, if it may have sent from the local address.
func (c *candidates) add(s *bound) {
	a := s.local.Addr()
	switch {
	case s.inode == 0 || s.local.Port() != c.local.Port():
	case s.device != 0 && c.device != 0 && s.device != c.device:
	case a.IsUnspecified() && s.only6 && c.local.Addr().Is4():
	case a.Is4() && a.IsUnspecified() && !c.local.Addr().Is4():
	case !a.IsUnspecified() && a != c.local.Addr():
	case slices.ContainsFunc(c.all, func(b bound) bool { return b.inode == s.inode }):
	case len(c.all) <= maxCandidates: // one more says that there are too many
		c.all = append(c.all, *s)
	}
}

// socket returns the most likely one, with the others of the same user.
func (c *candidates) socket() (Socket, error) {
	if len(c.all) == 0 {
		return Socket{}, errNoSocket
	}
	slices.SortStableFunc(c.all, func(a, b bound) int { return c.rank(&b) - c.rank(&a) })
	s := c.all[0].socket()
	if len(c.all) > maxCandidates {
		return Socket{}, errShared
	}
	for i := range c.all[1:] {
		other := &c.all[1+i]
		if other.uid != s.UID {
			return Socket{}, errShared
		}
		s.rest = append(s.rest, other.inode)
	}
	return s, nil
}

func (c *candidates) rank(s *bound) int {
	switch {
	case s.remote == c.remote:
		return 2
	case !s.remote.IsValid():
		return 1
	default:
		return 0
	}
}
