//go:build linux

package remote

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/record/compact"
)

// announcementLen is the length of a message about a connection that the router is about to make.
// It is no record: 1 byte kind, 1 byte whether it is the router's own, 2 bytes port, 16 bytes
// address.
const announcementLen = 20

// Announce tells the keeper of a connection that is about to be made, for a client or, where own is
// set, for the router itself. Where the error is not nil, it must not be made.
func (l *Log) Announce(to netip.AddrPort, own bool) error {
	m := [announcementLen]byte{0: anAnnouncement}
	if own {
		m[1] = 1
	}
	binary.LittleEndian.PutUint16(m[2:], to.Port())
	a := to.Addr().As16()
	copy(m[4:], a[:])
	if !l.end.Note(m[:]) {
		return fmt.Errorf("announce a connection: %w", unix.ENOBUFS)
	}
	return nil
}

func (w *Writer) announced(m []byte) error {
	if len(m) != announcementLen || m[1] > 1 {
		return fmt.Errorf("%w: an announcement of %d bytes", compact.ErrInvalid, len(m))
	}
	to := netip.AddrPortFrom(netip.AddrFrom16([16]byte(m[4:])), binary.LittleEndian.Uint16(m[2:]))
	w.o.Tally.Announce(to, m[1] == 1)
	return nil
}

// Look has all be taken that the router has sent by now, and returns a function that reports
// whether that is done.
func (w *Writer) Look() (done func() bool) {
	looked := w.end.Look()
	return func() bool { return w.ended.Load() || looked() }
}
