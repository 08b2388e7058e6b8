package namespace

import (
	"net/netip"
	"os"
)

// Options describe one session.
type Options struct {
	Command []string // name, looked up in PATH, and arguments

	// The command's own descriptors; nil is /dev/null. It inherits no others.
	Stdin, Stdout, Stderr *os.File

	// The TUN interface that is the command's way out. Without a name the namespace has its
	// loopback only.
	TUN       string
	MTU       int            // in bytes
	Queues    int            // of the interface, 1 to tun.MaxQueues; 0 is 1
	Addresses []netip.Prefix // of the interface; the neighbour in each subnet is the gateway

	// Routes lead into the TUN whatever the host routes, as far as the TUN has an address of their
	// family.
	Routes []netip.Prefix

	// Hide are paths, which exist, that the command does not see: sockets of the host's services,
	// files and directories.
	Hide []string

	// AllowSetuid lets set-user-id programs and those with file capabilities take their privileges
	// in the namespace.
	AllowSetuid bool

	// NetNS is the path of a network namespace that others have made and use, such as
	// /proc/PID/ns/net, for the command to run in, with the TUN as the way out of all that is
	// there. It takes CAP_SYS_ADMIN in the user namespaces of the caller and of that network, and
	// the command has no user namespace of its own. "" makes a network for the command.
	NetNS string

	// KeepNames leaves the command of root no say in what names mean: it has the nameservers of the
	// start, and may not write the host's table of names, which a resolver of the host may read.
	KeepNames bool

	// Redirected gets the redirects when they have changed; nil disables it.
	Redirected func(*Redirects)

	// HostLoopback lets the gateway addresses lead to the loopback addresses of the caller's
	// network namespace.
	HostLoopback bool
}
