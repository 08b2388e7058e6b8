package namespace

import (
	"net/netip"
	"syscall"
)

// A setup is the first message to init, which passes it on to the door: how to furnish the
// namespaces.
type setup struct {
	TUN         string
	MTU         int
	Queues      int
	Addresses   []netip.Prefix
	Routes      []netip.Prefix // into the TUN
	ResolvConf  string         // to be seen as such; "" = the host's
	LocalDNS    bool           // DNS of 127.0.0.1 goes into the TUN too
	Hide        []string       // paths, without symbolic links
	OwnGroup    bool           // init is to lead a process group
	UserNS      bool           // init has a user namespace of its own
	Shared      bool           // others have made the network
	KeepHosts   bool           // the command may not write the host's table of names
	AllowSetuid bool
}

// An order is a later message to init.
type order struct {
	Start      bool           // run the command
	ResolvConf *string        // or show it another /etc/resolv.conf
	Signal     syscall.Signal // or pass this on to it
}

// A report is a message of init, or of the door.
type report struct {
	Ready   bool // the namespaces are furnished; the queues of the TUN come with it, and an owner.Network
	Device  int  // index of the TUN's interface, where the Network came
	Stopped bool // the command was stopped by a signal

	Others []string // interfaces of a shared network that lead past the TUN

	// The command has ended with this status, and nothing else runs in the PID namespace. The
	// others stay until the channel is closed.
	Ended  bool
	Status int

	// Or the step that failed, and the reason.
	Failed    string
	Errno     syscall.Errno
	Namespace bool // it was a namespace that could not be made
}
