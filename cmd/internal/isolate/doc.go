// Package isolate has a process give up for good the rights that it does not need, and tells those
// that a process has.
//
// # Theory of operation
//
// A router reads the packets of any network. A fault that lets a packet run code in it should let
// that code do little else than route, and one in a server that any visitor may speak to should let
// it do nothing but that. So "syntap run", exec and demo are two processes each, and with
// http.listen three:
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
// packet of a client, and believes nothing that the router says: words are bounded, and only tell
// how the router is. It starts the router, and the next one where that dies or is killed: the host
// stays closed meanwhile, because its traffic still goes into the TUN; connections are reset; the
// log goes on with its next number. The next router has the config that was in force, whatever the
// file says by then. A router whose keeper dies ends with it (PR_SET_PDEATHSIG, and the end of the
// channel). It holds a lock on the journal to its end, for which the next run waits.
//
// The process that serves http.listen reads the records from memory that the keeper alone writes
// (package recent), and asks the keeper, in one byte, for all else: the keeper hands a question
// about figures on to the router, and the answer, of which it reads the length, back. Neither can
// be held up by that process, which ends and begins again without the others.
//
// # Exec
//
// The keeper of exec starts the command (package namespace), has its terminal and its signals, and
// the files of --explain and --learn, for which the router tells it of attempts. It changes
// nothing of the host. Its router is any user's, so that there is no other user to run as, but it
// is in namespaces of its own (namespace.Apart):
//
//   - of users: it may trace no process outside, and gives up there the capabilities, the bounding
//     set too, that an ordinary user could not give up;
//   - of networks, in which there is nothing, not even a loopback that is up. Upstream sockets come
//     from the keeper, which is in the caller's network; so do the netlink socket by which it asks
//     for the host's addresses, the sockets at which it answers the command's DNS queries, and
//     those by which it asks for the owners of the command's sockets;
//   - of System V's and POSIX's objects.
//
// Where the kernel makes no such namespaces the router does without. The process that serves
// http.listen is in such namespaces, too: its listener is in that of the caller.
//
// A router of exec that dies has a successor as in run; the command goes on, its connections are
// reset. Virtual addresses of names are others then: those of before stand for nothing.
//
// # What is given up
//
// [Enter] takes from all threads of a process, when all that takes more rights is done and before
// the first packet:
//
//   - all capabilities but those in use, which are none of the other processes, in any set; the
//     keeper's sets have those that it gives to routers, and exec's keeper keeps the bounding set;
//   - of a process that root's keeper has started, the user: it becomes one of those that systemd
//     gives dynamic services, which nothing else has (user_linux.go);
//   - new privileges (PR_SET_NO_NEW_PRIVS);
//   - of a process that has a keeper, all files: landlock(7) lets it open none, and the router list
//     those directories only by which the owners of connections are known (/sys/fs/cgroup). It
//     connects to no Unix socket and signals no process outside, on kernels where landlock does
//     that, too;
//   - of it, memory and, where it has a user of its own, threads beyond a bound (limit_linux.go);
//   - all system calls but a list, and of some of these all but a few arguments (filter_linux.go):
//     no namespace is entered, no other process traced, nothing mounted, no kernel facility used
//     that has a language of its own (bpf, io_uring, perf events, keyrings). A router executes no
//     program, makes no child, signals no process, maps no memory to execute, opens no socket of
//     nftables, and makes and changes no link. One that has a keeper makes no socket but to ask
//     for routes and sockets, listens on none, and opens no file, even where there is no landlock.
//     The process that serves http.listen makes no socket, and connects, binds and shuts down
//     none: it accepts, reads, writes and closes.
//
// A call that is refused fails with EPERM. The kernel's log names it (type=1326), so that an
// attempt is found. Where the kernel, or a sandbox around the process, takes less, Enter says so
// and the router works all the same; on architectures other than amd64 and arm64 there is no
// filter. [Hide] closes the memory of both to other processes of their user, but for exec's keeper,
// which has no packets in it.
//
// So all that a router reads it reads before. Of files that change the keeper sends it the next
// ones: /etc/hosts, /etc/passwd, and the host's nameservers.
//
// The bounding set of a router is empty from its start: the keeper empties that of the thread which
// starts routers ([LimitChildren]), and what it gives to them is inheritable. That takes
// CAP_SETPCAP, once. Where the keeper lacks it, as in the unit, the bounding set stays as it is: no
// capability comes of it to a process that executes no program and gets no new privileges. A router
// of exec empties it in its own user namespace.
//
// The command of exec is not touched: its processes have been started before.
//
// [Read] asks the kernel, in /proc: the answer does not depend on the program.
//
// The filter costs 40 ns for each system call, and 60 ns for one whose arguments it judges (Linux
// 6.18); of the processor time of a connection, some 200 µs with a log, that is less than the noise
// of a measurement.
//
// The second process costs no packet anything. "exec -- true" takes 20 ms of processor time more
// than as one process, 55. Idle, on two processors, the keeper has 7.7 MiB
// resident and the router 7.5, of which they share 1.2; a start takes 27 ms more than one process
// took, 90 ms; a router is in place of one that was killed after 20 to 60 ms.
//
// # Rights that stay
//
// A router may ask its keeper for sockets, which it may connect to anywhere, for the filter of
// package farseq at one of them, and for the program that has a socket. In run the keeper finds
// connections and flows that are on no record, after they have left (package sent). Where the
// keeper lacks CAP_SETUID, as in the unit, where it is syntap's own, and in an ordinary user's
// exec, the router keeps its user.
//
// Landlock is for the processes that have a keeper, which looks for owners: under it the kernel
// shows a process no /proc/PID/fd, nor /proc/PID/exe, of any process outside
// (hook_ptrace_access_check in security/landlock/task.c; Linux 6.18), whatever the rules. Its rules
// for TCP ports are of no use: a router connects to any.
//
// # Not yet
//
// The same in exec. There is no mark, and no table of the host's to count in: its keeper would have
// to connect the sockets itself, to destinations alone for which a record stands in the ring. Now
// the record of a connection follows its connect(2), because it tells how the far side answered. So
// each connection would need an announcement before it, with one more question to the keeper.
package isolate
