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
// A user namespace cannot be entered by a process with several threads, which every Go process is.
// [Start] therefore runs this program again in new namespaces, under the name syntap-init, and
// [Main], called first thing by main, turns that process into their init. It runs the program once
// more, as syntap-door, in the network namespace of the command. While init mounts the paths that
// have to differ, the door creates and configures the TUN, whose descriptor goes back to the
// session. [Session.Run] has the door become the command, by execve, when the router reads the TUN
// already. The door also opens an [owner.Network], by which the router, outside, asks whose the
// command's sockets are ([Session.Network]).
//
// User namespace. It gives any user the privilege to do all that, and takes from root's command the
// privilege to leave: to enter the host's network namespace again takes capabilities there. Every
// id stands for itself. Root, who may, maps all ids there are, so that files keep their owners and
// su, sudo and package installers work; its command has all capabilities inside, tcpdump works. The
// door of root is in a user namespace further in, which owns the command's network but not init's
// mounts: mounts that come from outside are locked (mount_namespaces(7)). Another user can only map
// its own id; its command has no capability, other users' files belong to user 65534 and
// set-user-id programs run without the bit. Where user namespaces are forbidden root still gets the
// others, and its command no more capabilities than container runtimes leave to root.
//
// Network namespace. It is the command's own, or with [Options].NetNS one that others have made for
// a container without a network: the door begins in it, and the TUN is the way out for all that is
// there. Such a session has no user namespace.
//
// PID namespace. When the command ends, init kills every process that was left in the background,
// and collects the orphans until then. Their sockets are closed; the kernel still sends their data
// into the TUN until [Session.Close]. Init ends too when the channel does, so the command does not
// outlive a killed syntap, whose routing was its only way out.
//
// Mount namespace. /proc shows the processes inside, /sys the interfaces inside and is read-only.
// For root's command the parts of /proc and /sys that belong to the machine are read-only or
// hidden, as in a container (mount_linux.go); the modes of the files keep other users' commands
// away. The kernel allows no second /proc beside one that hides something: programs that mount one,
// such as bubblewrap with --proc and container engines, cannot do so in a session of root, and a
// session inside it shows the outer /proc. Everything else is the host's: files, devices, and
// services that listen on paths. [Options].Hide puts something empty over such a path. Changes the
// host makes to its mounts arrive here too.
//
// System calls. A filter (filter_linux.go) refuses calls that lead past all of these: TIOCSTI and
// TIOCLINUX, which type into the caller's terminal; sockets of families other than Unix, IPv4, IPv6
// and netlink, for vsock and others belong to no network namespace, with packet sockets where the
// command has CAP_NET_RAW; io_uring, which makes sockets past a filter; and request_key(2) with
// callout information, for which the kernel runs a program on the host, as it does for DNS. Numbers
// of x32 are refused as a whole, and of 32-bit x86 those sockets that are made by socketcall(2).
// No_new_privs is set unless [Options].AllowSetuid: root can become another user by sudo or su, and
// no other user can become root. Where this package knows no numbers, on architectures other than
// amd64 and arm64, there is no filter.
//
// # Names
//
// /etc/resolv.conf is replaced where it names a server that only the host itself reaches, such as
// systemd-resolved at 127.0.0.53 or one on a link of the host: the command gets a gateway address
// in its place, and [Session.Redirects] tell the router which nameserver the address stands for. A
// nameserver of the host can always be reached by its own address too, for DNS.
//
// The host's file changes while the command runs, often by being replaced. The session watches it
// and sends init the new one (resolvconf_linux.go); init puts its mount back where the host has
// pushed it aside (cover_linux.go). A symbolic link, as systemd-resolved has it, is covered itself
// and not its target. Where the host has no resolv.conf at all there is nothing to cover: a libc
// asks 127.0.0.1 then, and rules of the command's network namespace lead its port 53 into the TUN.
// Services of the host that look names up on behalf of a libc, by a Unix socket, are hidden: names
// are asked for through the TUN.
//
// # Families
//
// The TUN has the address families that the host routes ([syntap/tun/route.Reachable]): a program
// that may take either takes the one that works.
//
// # Gateways
//
// The TUN's far end needs no address, but its neighbour in each subnet, 198.18.0.2 beside
// 198.18.0.1/30, serves as the place where things of the host can be found: nameservers, and with
// [Options].HostLoopback its loopback addresses. Further nameservers stand at other addresses that
// lead into the TUN.
//
// # Terminal and signals
//
// The command is to be found at the terminal as if it had been started without syntap. Where syntap
// is one of several members of a process group, in a pipeline or a script, init and the command
// join that group: Ctrl-C or Ctrl-Z reaches all. Where syntap is alone, an interactive shell's job,
// init leads a group of its own that the command begins in, and syntap lends it the terminal, as
// that shell does to its jobs: getpgrp(2) names no group from outside the PID namespace, and some
// programs depend on it. Shells inside may make more groups.
//
// syntap leaves the decision to the command and ends with its status. It passes signals on that
// only syntap gets, from kill or from Ctrl-C without a terminal; but not SIGTSTP to a group that
// the command is in. When the command stops, init reports it and syntap stops as well, so that the
// shell outside sees a stopped job; after SIGCONT syntap gives the terminal back to the group
// inside that had it, and the command goes on. When all is over it takes the terminal back, and
// restores the modes after a command that was killed.
//
// The command inherits descriptors 0 to 2 and no others; one that is closed is /dev/null. It
// inherits limits, ignored signals and the environment as syntap found them.
package namespace
