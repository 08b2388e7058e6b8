package owner

import (
	"net/netip"
	"slices"
)

// Socket is the kernel's word on the socket that a client sends by.
type Socket struct {
	UID    uint32
	inode  uint32
	cgroup uint64         // in which it was made, by its id in version 2; 0 = not known
	rest   []uint32       // inodes of others of the user that may have sent it just as well
	client netip.AddrPort // of TCP: its address
	ends   uint64         // of TCP: of connections before, see last
}

// same reports whether both are the same sockets, in any order.
func (s *Socket) same(o *Socket) bool {
	all := func(s *Socket) []uint32 {
		inodes := append(slices.Clone(s.rest), s.inode)
		slices.Sort(inodes)
		return inodes
	}
	return s.UID == o.UID && slices.Equal(all(s), all(o))
}

// Process is one that holds a socket. Members that are unknown are empty.
type Process struct {
	PID       int    // as numbered in the PID namespace of this process
	Name      string // of the file that it executes
	Exe       string // path of that file in the mount namespace of the process
	Unit      string // of systemd, "ssh.service"; within a user's manager the user's unit
	Container string // id, or the name where the engine has no ids
}

// Reason says why an owner, or only its process, is not known.
type Reason string

const (
	Found      Reason = ""           // both are
	NoSocket   Reason = "no_socket"  // no socket sends between these addresses: it is closed, or was never there
	Failed     Reason = "failed"     // the kernel could not be asked
	Shared     Reason = "shared"     // several users or processes hold sockets that may have sent it
	Busy       Reason = "busy"       // only the user is known: too many searches go on
	Budget     Reason = "budget"     // only the user: it, or all users, had too many searches lately
	Deadline   Reason = "deadline"   // only the user: the search took too long
	Permission Reason = "permission" // only the user: its descriptors cannot be read
	NotHeld    Reason = "not_held"   // only the user: no process holds the socket, which may be in flight to another
	Ended      Reason = "ended"      // only the user: the process ended, or closed the socket, before it was named
)

// Reasons returns all reasons but Found.
func Reasons() []Reason {
	return []Reason{NoSocket, Failed, Shared, Busy, Budget, Deadline, Permission, NotHeld, Ended}
}

// Stats counts connections and flows of local clients by how much is known of their owners.
type Stats struct {
	Found    uint64
	NotFound map[Reason]uint64 // has all reasons
}
