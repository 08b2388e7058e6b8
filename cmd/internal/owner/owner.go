package owner

// Socket is the kernel's word on the socket that a connection is opened with.
type Socket struct {
	UID   uint32
	inode uint32
}

// Process is one that holds a socket.
type Process struct {
	PID  int
	Name string
}

// Reason says why an owner, or only its process, is not known.
type Reason string

const (
	Found      Reason = ""           // both are
	NoSocket   Reason = "no_socket"  // no socket is opening this connection: it is closed, or was never there
	Failed     Reason = "failed"     // the kernel could not be asked
	Busy       Reason = "busy"       // only the user is known: too many searches go on
	Budget     Reason = "budget"     // only the user: it, or all users, had too many searches lately
	Deadline   Reason = "deadline"   // only the user: the search took too long
	Permission Reason = "permission" // only the user: its descriptors cannot be read
	NotHeld    Reason = "not_held"   // only the user: no process holds the socket, which may be in flight to another
)

// Reasons returns all reasons but Found.
func Reasons() []Reason {
	return []Reason{NoSocket, Failed, Busy, Budget, Deadline, Permission, NotHeld}
}

// Stats counts connections of local clients by how much is known of their owners.
type Stats struct {
	Found    uint64
	NotFound map[Reason]uint64 // has all reasons
}
