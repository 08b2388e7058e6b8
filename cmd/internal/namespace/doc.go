// Package namespace runs one command in namespaces of its own, whose only way out is a TUN
// interface. It hands out the TUN's descriptor; who reads it decides where the command's traffic
// goes. This package routes nothing.
//
// # Theory of operation
//
//	caller's namespaces        │ new user, mount and PID namespace        │ new user, network and mount namespace
//	                           │                                          │
//	  syntap ── channel ───────┼── syntap-init (process 1) ── channel ────┼── syntap-door, then the command ── …
//	    ╰────── TUN descriptor ┼──────────────────────────────────────────┼── syntap0   lo
//
// A process with several threads cannot enter a user namespace, and every Go process has several.
// So [Start] runs this program again in new namespaces, under the name syntap-init. [Main], which
// main calls first, turns that process into their init. Init runs the program once more, as
// syntap-door, in the network namespace of the command. While init mounts the paths that have to
// differ, the door creates and configures the TUN, and sends its descriptor to the session. When
// the router reads the TUN, [Session.Run] has the door become the command, by execve. The door also
// opens an [owner.Network], by which the router, outside, asks whose the command's sockets are
// ([Session.Network]).
//
// # User namespace
//
// It gives any user the privilege to do all that. From root's command it takes the privilege to
// leave: to enter the host's network namespace again takes capabilities there. Every id stands for
// itself.
//
// Root may map all ids there are. So files keep their owners, and su, sudo and package installers
// work. Its command has all capabilities inside: tcpdump works. The door of root is in a user
// namespace further in, which owns the command's network but not init's mounts: mounts that come
// from outside are locked (mount_namespaces(7)).
//
// Another user can map its own id only. Its command has no capability, other users' files belong to
// user 65534, and set-user-id programs run without the bit.
//
// Where user namespaces are forbidden, root still gets the other namespaces. Its command then has
// no more capabilities than container runtimes leave to root.
//
// # Network namespace
//
// It is the command's own, or with [Options].NetNS one that others have made for a container
// without a network. The door begins in that one, and the TUN is the way out for all that is there.
// Such a session has no user namespace.
//
// # PID namespace
//
// Init collects orphans. When the command ends, it kills every process that was left in the
// background. Their sockets are closed, but the kernel still sends their data into the TUN until
// [Session.Close]. Init also ends when the channel does, so the command does not outlive a killed
// syntap, whose routing was its only way out.
//
// # Mount namespace
//
// /proc shows the processes inside. /sys shows the interfaces inside, and is read-only. For root's
// command the parts of both that belong to the machine are read-only or hidden, as in a container
// (mount_linux.go). The modes of the files keep other users' commands away from them.
//
// The kernel allows no second /proc beside one that hides something. So programs that mount one,
// such as bubblewrap with --proc and container engines, cannot do so in a session of root, and a
// session inside it shows the outer /proc.
//
// Everything else is the host's: files, devices, and services that listen on paths. [Options].Hide
// puts something empty over such a path. Changes that the host makes to its mounts arrive here,
// too.
//
// # System calls
//
// A filter (filter_linux.go) refuses calls that lead past all of these:
//
//   - TIOCSTI and TIOCLINUX, which type into the caller's terminal;
//   - sockets of families other than Unix, IPv4, IPv6 and netlink, because those of vsock and
//     others belong to no network namespace. Packet sockets are allowed where the command has
//     CAP_NET_RAW;
//   - io_uring, which makes sockets past a filter;
//   - request_key(2) with callout information, for which the kernel runs a program on the host, as
//     it does for DNS;
//   - all numbers of x32, and of 32-bit x86 the sockets that socketcall(2) makes.
//
// No_new_privs is set, unless [Options].AllowSetuid forbids it. With it root can still become
// another user by sudo or su, and no other user can become root. On architectures other than amd64
// and arm64 there is no filter.
//
// # Names
//
// /etc/resolv.conf is replaced where it names a server that only the host itself reaches, such as
// systemd-resolved at 127.0.0.53 or one on a link of the host. The command gets a gateway address
// in its place, and [Session.Redirects] tell the router which nameserver the address stands for.
// The command can always reach a nameserver of the host by its own address, too, for DNS.
//
// The host may change or replace its file while the command runs. The session watches it and sends
// init the new one (resolvconf_linux.go), unless the command may have written it
// ([Options].KeepNames): then the host's table of names is read-only, too, because systemd-resolved
// answers by it. Init puts its mount back where the host has pushed it aside (cover_linux.go). It
// covers a symbolic link, as systemd-resolved has it, and not the target. Where the host has no
// resolv.conf there is nothing to cover: a libc asks 127.0.0.1 then, and rules of the command's
// network namespace lead its port 53 into the TUN.
//
// Services of the host that look names up for a libc, by a Unix socket, are hidden: the command
// asks for names through the TUN.
//
// # Families
//
// The TUN has the address families that the host routes ([syntap/tun/route.Reachable]). So a
// program that may take either takes the one that works.
//
// # Gateways
//
// The TUN's far end needs no address. Its neighbour in each subnet, 198.18.0.2 beside
// 198.18.0.1/30, stands for things of the host: a nameserver, and with [Options].HostLoopback its
// loopback addresses. Further nameservers have other addresses that lead into the TUN.
//
// # Terminal and signals
//
// The command has the terminal as if it had been started without syntap. Where syntap is one of
// several members of a process group, in a pipeline or a script, init and the command join that
// group: Ctrl-C or Ctrl-Z reaches all. Where syntap is alone, as the job of an interactive shell,
// init leads a group of its own, in which the command begins. syntap lends that group the terminal,
// as the shell does to its jobs. The group of syntap would not do: getpgrp(2) names no group from
// outside the PID namespace, and some programs depend on it. Shells inside may make more groups.
//
// syntap leaves the decision to the command and ends with its status. It passes on signals that
// only syntap gets, from kill or from Ctrl-C without a terminal, but no SIGTSTP to a group that the
// command is in. When the command stops, init reports it and syntap stops, too, so that the shell
// outside sees a stopped job. After SIGCONT syntap gives the terminal back to the group inside that
// had it, and the command goes on. At the end it takes the terminal back, and restores the modes
// after a command that was killed.
//
// The command inherits descriptors 0 to 2 and no others; one that is closed is /dev/null. It
// inherits limits, ignored signals and the environment as syntap found them.
package namespace
