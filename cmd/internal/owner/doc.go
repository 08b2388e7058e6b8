// Package owner finds the local process that opens a connection: the user of its socket, the number
// and the name of the process.
//
// # Theory of operation
//
//	SYN ──▶ Finder.Socket: sock_diag ──▶ uid, inode ──▶ Finder.Search: process with that inode among its descriptors
//	        one question, some microseconds             recent ones, processes of the same user, all others; 2 ms at most
//
// The kernel answers the first question at once, for every connection. Its answer counts only for
// a socket in SYN_SENT with exactly these addresses, so the question comes before the client is
// answered. Otherwise the kernel says user 0 and inode 0 of sockets without an owner (TIME_WAIT,
// request sockets, on older kernels closed ones), falls back to a listener, which can be another's,
// or finds the connection whose SYN a sender forges.
//
// The second question the kernel does not answer: descriptors have to be read. A few that have held
// sockets of the same user before are read at once (last_linux.go): the number of one that was just
// closed is the next to be given out. A search begins where these do not have the socket: with the
// recent processes of the user, then the first descriptors of all of its processes, then the rest
// of these, then all other processes, the newest first. All searches take place in one goroutine,
// which makes a few looks for each user in turn and lets those who carry packets go on in between.
//
// # Bounds of a search
//
// A look is a system call about a process. A search is cut short 2 ms after it was asked for, but
// not before it has taken minLooks, so that a machine that stalls takes nothing away. One of each
// user then goes on for itself, for up to maxLooks: a process that is hard to find is then a recent
// one. Each user has a budget of looks, and all users together have one (budget_linux.go): who
// opens connections that cannot be found, or holds many descriptors, uses up his own and delays his
// own. A search without a result is counted by its Reason.
//
// # Privileges
//
// To see another user's descriptors takes CAP_SYS_PTRACE to read the links and CAP_DAC_READ_SEARCH
// to enter /proc/PID/fd (or CAP_DAC_OVERRIDE). Finder.Lacks says which are missing; then only the
// processes of the router's own user are searched.
//
// The name of a process is that of the file it executes: the name in /proc/PID/comm any process can
// change to its liking (prctl(2), PR_SET_NAME). A script has the name of its interpreter.
package owner
