// Package isolate has a process give up for good the rights that it does not need, and tells those
// that a process has.
//
// # Theory of operation
//
// A router reads the packets of any network. A fault may let a packet run code in it: that code
// should be able to do little else than route. Code that a visitor of http.listen runs in a server
// should be able to do nothing but serve. So "syntap run", exec and demo are two processes each,
// and with http.listen three (packages keeper, router and web):
//
//	syntap-web ── stream ── syntap (keeper) ── channel ── syntap-router
//	page, API, metrics      rules, routes, nftables,       TUN, tap, netstack
//	                        journal, repair, signals,
//	                        logs, owners; exec's command
//	   ╰◀─── the listener ─────────╯  ╰──── the TUN, and a lock on the journal ───▶╯
//	   ╰◀─── the last records ─────╯  ╰──── upstream sockets (package sockets) ───▶╯
//	   ╰──── questions ───────────▶╯  ╰◀─── questions about owners ────────────────╯
//	                                  ╰◀─── records, by a ring in shared memory ───╯
//	                                  ╰──── questions about figures ──────────────▶╯
//
// The keeper changes the host, and holds the TUN's descriptor, which it never reads. It sees no
// packet of a client. It believes nothing that the router says: words are bounded, and tell only
// how the router is.
//
// It starts the router, and the next one where that dies or is killed. Meanwhile the host's traffic
// still goes into the TUN, so nothing leaves. Connections are reset, and the log goes on with its
// next number. The next router has the config that was in force, whatever the file says by then. A
// router ends with its keeper (PR_SET_PDEATHSIG, and the end of the channel). It holds a lock on
// the journal to its end, and the next run waits for that.
//
// The process that serves http.listen reads the records from memory that the keeper alone writes
// (package recent). For all else it asks the keeper, in one byte. The keeper hands a question about
// figures on to the router, and hands back the answer, of which it reads the length. That process
// can hold up neither of them. It ends and begins again without them.
//
// # Exec
//
// The keeper of exec changes nothing of the host. It starts the command (package namespace), and
// has its terminal and its signals. It also writes the files of --explain and --learn, for which
// the router tells it of attempts. An ordinary user has no other user for the router to run as. So
// the router is in namespaces of its own (namespace.Apart):
//
//   - of users: it may trace no process outside. There it gives up the capabilities, and the
//     bounding set, that an ordinary user could not give up;
//   - of networks: it has nothing, not even a loopback that is up. The keeper, which is in the
//     caller's network, makes its upstream sockets. It also makes the netlink socket by which the
//     router asks for the host's addresses, the sockets at which it answers the command's DNS
//     queries, and those by which it asks for the owners of the command's sockets;
//   - of System V's and POSIX's objects.
//
// Where the kernel makes no such namespaces, the router does without. The process that serves
// http.listen is in such namespaces, too; its listener is in the caller's.
//
// A router of exec that dies has a successor as in run. The command goes on, and its connections
// are reset. Names get other virtual addresses then: the former ones stand for nothing.
//
// # What is given up
//
// [Enter] takes from all threads of a process, when all that takes more rights is done and before
// the first packet:
//
//   - the capabilities that it does not use, in all sets. The router and the process that serves
//     http.listen use none. The keeper's sets have those that it gives to routers, and exec's
//     keeper keeps the bounding set;
//   - the user, of a process that root's keeper has started: it becomes one of those that systemd
//     gives dynamic services, which nothing else has (user_linux.go);
//   - new privileges (PR_SET_NO_NEW_PRIVS);
//   - all files, of a process that has a keeper: landlock(7) lets it open none. A router may list
//     the directories by which the owners of connections are known (/sys/fs/cgroup). On kernels
//     where landlock does that, too, it connects to no Unix socket and signals no process outside;
//   - memory beyond a bound, of the same processes, and threads, where they have a user of their
//     own (limit_linux.go);
//   - all system calls but a list, and of some of these all but a few arguments (filter_linux.go).
//     No process enters a namespace, traces another, mounts anything, or uses a facility of the
//     kernel that has a language of its own (bpf, io_uring, perf events, keyrings). A router
//     executes no program, makes no child, signals no process, maps no memory to execute, opens no
//     socket of nftables, and makes and changes no link. One that has a keeper makes no socket but
//     to ask for routes and sockets, listens on none, and opens no file, even where there is no
//     landlock. The process that serves http.listen makes no socket, and connects, binds and shuts
//     down none: it accepts, reads, writes and closes.
//
// A call that is refused fails with EPERM. The kernel's log names it (type=1326), so that an
// attempt is found. Where the kernel, or a sandbox around the process, takes less, Enter says so
// and the process works all the same. On architectures other than amd64 and arm64 there is no
// filter. [Hide] closes the memory of each process to others of its user. Exec's keeper, which has
// no packets in it, does without.
//
// A router reads before that all that it ever reads. When /etc/hosts, /etc/passwd or the host's
// nameservers change, the keeper sends the next ones.
//
// The bounding set of a router is empty from its start. The keeper empties that of the thread which
// starts routers ([LimitChildren]), and makes the capabilities that it gives them inheritable. That
// takes CAP_SETPCAP, once. A router of exec empties it in its own user namespace, and so does one
// of run where the keeper lacks CAP_SETPCAP, as in the unit and in containers ([Alone]). The kernel
// would tell it of no users there but its own: the sockets by which it asks for the users of others
// come from the keeper. Where the kernel makes no user namespace, the bounding set stays as it is:
// a process that executes no program and gets no new privileges gets no capability by it.
//
// The command of exec is not touched: its processes have been started before.
//
// [Read] asks the kernel, in /proc: the answer does not depend on the program.
//
// The filter costs 40 ns for each system call, and 60 ns for one whose arguments it judges (Linux
// 6.18); of the processor time of a connection, some 200 µs with a log, that is less than the noise
// of a measurement.
//
// The second process costs packets nothing. "exec -- true" takes 20 ms of processor time more
// than as one process, 55. Idle, on two processors, the keeper has 7.7 MiB
// resident and the router 7.5, of which they share 1.2; a start takes 27 ms more than one process
// took, 90 ms; a router is in place of one that was killed after 20 to 60 ms.
//
// # Rights that stay
//
// A router may ask its keeper for sockets, and connect them to anywhere. It may ask for the filter
// of package farseq at one of them, and for the program that has a socket. Where the keeper lacks
// CAP_SETUID, the router keeps the keeper's user: in the unit, where that is syntap's own, and in
// an ordinary user's exec. It does so, too, where its user namespace knows no other.
//
// In run the keeper finds connections and flows that are on no record, after they have left
// (package sent). In exec it does not yet. There is no mark, and no table of the host's to count
// in: the keeper would have to connect the sockets itself, and only to destinations for which a
// record stands in the ring. Now the record of a connection follows its connect(2), because it
// tells how the far side answered. So each connection would need an announcement before it, with
// one more question to the keeper.
//
// Landlock cannot hold the keeper, which looks for owners. Under it the kernel shows a process
// neither /proc/PID/fd nor /proc/PID/exe of any process outside, whatever the rules
// (hook_ptrace_access_check in security/landlock/task.c; Linux 6.18). Its rules for TCP ports are
// of no use: a router connects to any.
package isolate
