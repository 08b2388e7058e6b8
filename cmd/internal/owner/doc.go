// Package owner finds the local program that a connection, a UDP flow or an echo request comes
// from: the user of its socket, and the process with its name, its file, its systemd unit and its
// container.
//
// # Theory of operation
//
//	packet ──▶ Finder.Socket: sock_diag ──▶ uid, inode ──▶ Finder.Search: process with that inode among its descriptors
//	           one question, some microseconds             likely ones, recent and new processes, all; 2 ms at most
//
// A router asks the first question itself, and its keeper the second: a [Remote] in the router has
// the [Finder] of the keeper search (message_linux.go). Both share kernel_linux.go.
//
// The kernel answers the first question at once. For TCP its answer counts only for a socket in
// SYN_SENT with exactly these addresses, so the question comes before the client is answered.
// Otherwise the kernel returns user 0 and inode 0 for sockets without an owner (TIME_WAIT, request
// sockets, on older kernels closed ones), falls back to a listener, which may belong to another
// program, or finds the connection whose SYN a sender forges. For UDP the router asks for all
// sockets at the port, because several may share it (sockets_linux.go). The identifier of an echo
// request is that of a ping socket. Raw sockets have none, so each of them may have sent it, except
// those of the router itself. If several sockets may have sent a packet, the record names their
// user if they have only one, and a process if it holds all of them.
//
// The kernel answers about one network namespace, a [Network]: that of the router, or for exec that
// of its command, whose first process opens it. Users have the numbers of the user namespace in
// which the Network was opened; in exec these are the same as outside.
//
// The kernel does not answer the second question, so descriptors must be read. Those under which
// processes have held sockets of the same user before, and the ones above, are read at once
// (last_linux.go): a process gets the lowest free number, and the FIN of a client, or the answer to
// its DNS query, shows that one has become free (Remote.Closed). A search begins where these do not
// have the socket: with the newest processes of the user (fresh_linux.go), then in exec those of
// its command (tree_linux.go), then the user's recent ones, then the first descriptors of all of
// its processes, then the rest of these, then all other processes, the newest first. All searches
// run in one goroutine, which makes a few looks for each user in turn, and yields to the goroutines
// that carry packets.
//
// Sockets whose processes are not urgent are asked about together (Finder.Search): each is looked
// for by itself, and then the executable and the children of a process are read once for all that
// it holds.
//
// # No wrong answer
//
// A process that was found is checked once more before it is named. Through files in /proc that
// stay its own even if its number is reused, it must still hold the socket after its executable and
// its cgroup were read. An execve(2) and a move to another cgroup are noticed.
//
// A socket that several processes hold names none of them. The search covers the parent and the
// children, as after fork(2), and the first descriptors of a few children and of a new process's
// parent, as after SCM_RIGHTS of unix(7). Process 1 is named last, because systemd keeps the
// sockets that it has made for services. A child that is about to execute a program shares its
// parent's sockets for that moment, in which the parent is not named.
//
// The search does not see a socket that an unrelated process keeps after passing it on, one
// inherited by a child of another thread than the first or by a child's child, or a program with
// CAP_NET_RAW that sends in the name of another's socket.
//
// A program that binds another's UDP port within a second of its last datagram, or gets its socket,
// is taken for the other. So is one that later binds a port that both share (SO_REUSEADDR), and
// sends to the same server, while the kernel would give the answer to the other.
//
// A packet sent just before its program closes the socket, or exits, may arrive here too late.
//
// # Names
//
// The name of a process is that of the file it executes, because any process can change the name in
// /proc/PID/comm (prctl(2), PR_SET_NAME). A script has the name of its interpreter. The path of the
// file is that in the mount namespace of the process, without the " (deleted)" that the kernel
// appends where the file was removed or replaced.
//
// Unit and container are in the process's cgroup (cgroup.go), in version 1 and version 2: the unit
// as systemd itself reads it, and the id or name that a container engine gives its cgroups. The
// outermost counts: inside its cgroup a container, or a unit with Delegate=yes, can make others
// with any name. If the process is not found, or may not be seen, they are those of the cgroup in
// which its socket was made (cgroups_linux.go), which the kernel reports since Linux 5.9.
//
// # Bounds of a search
//
// A look is a system call about a process. A search is cut short 2 ms after it was asked for, but
// not before it has taken minLooks, so that a machine that stalls takes nothing away. One that
// waits for another of its user ends after 50 ms, but not before others have taken waitLooks
// meanwhile. For each user, one search that was cut short continues for up to maxLooks, so that a
// process that is hard to find becomes a recent one. Each user has a budget of looks, and so have
// all users together (budget_linux.go): a user who opens connections that cannot be found, or holds
// many descriptors, uses up and delays only his own. A search without a result is counted by its
// Reason.
//
// # Resolvers
//
// [Resolvers] knows the users whose processes resolve names for the programs of this host, by the
// sockets at the DNS port of loopback addresses. Opening one takes CAP_NET_BIND_SERVICE, unless the
// host allows that port to all (net.ipv4.ip_unprivileged_port_start).
//
// # Privileges
//
// To see another user's descriptors takes CAP_SYS_PTRACE to read the links and CAP_DAC_READ_SEARCH
// to enter /proc/PID/fd (or CAP_DAC_OVERRIDE). Finder.Lacks says which are missing; then only the
// processes of the router's own user are searched.
package owner
