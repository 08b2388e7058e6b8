// Package namespace runs one command in namespaces of its own, whose only way out is a TUN interface. It hands out the
// TUN's descriptor; who reads it decides where the command's traffic goes. This package routes nothing.
//
// # Theory of operation
//
//	caller's namespaces        │ new user, network, mount and PID namespace
//	                           │
//	  syntap ── channel ───────┼── syntap-init (process 1) ── command ── …
//	    ╰────── TUN descriptor ┼────── syntap0   lo
//
// A user namespace cannot be entered by a process with several threads, which every Go process is. [Start] therefore runs
// this program again in new namespaces, under the name syntap-init, and [Main], called first thing by main, turns that
// process into their init. Both talk over a socket pair. init mounts what has to differ, creates and configures the TUN,
// sends its descriptor over and waits. [Session.Run] lets the command start, when somebody reads the TUN already.
//
// User namespace. It gives anybody the privilege to do all that, and takes from root's command the privilege to leave:
// to enter the host's network namespace again takes capabilities there. Every id stands for itself. Root, who may, maps
// all ids there are, so that files keep their owners and su and sudo work; its command has all capabilities inside, tcpdump
// works. Anybody else can only map its own id; its command has no capability, other users' files belong to nobody and
// set-user-id programs run without the bit. Where user namespaces are forbidden root still gets the others, and its
// command could leave. init itself keeps CAP_NET_ADMIN and CAP_SYS_ADMIN of the namespace; the command is started from a
// thread that has dropped everything.
//
// PID namespace. When the command ends, init does, and with it the kernel kills every process that was left in the
// background: nothing of it could reach the network any more. init collects the orphans until then. It ends too when the
// channel does, so the command does not outlive a killed syntap, whose routing was its only way out.
//
// Mount namespace. /proc shows the processes inside. /etc/resolv.conf is replaced where it names a server that only the
// host itself reaches, such as systemd-resolved at 127.0.0.53: the command gets a gateway address in its place, and
// [Session.Redirect] tells the router what the address stands for. Everything else is the host's: files, and services
// that listen on paths. Changes the host makes to its mounts arrive here too.
//
// # Gateways
//
// The TUN's far end needs no address, but its neighbour in each subnet, 198.18.0.2 beside 198.18.0.1/30, serves as the
// place where things of the host can be found: nameservers, and with [Options].HostLoopback its loopback addresses.
//
// # Terminal and signals
//
// The command is to be found at the terminal as if it had been started without syntap. Where syntap is one of several
// members of a process group, in a pipeline or a script, init and the command join that group: Ctrl-C or Ctrl-Z reaches all.
// Where syntap is alone, an interactive shell's job, init leads a group of its own that the command begins in, and syntap
// lends it the terminal, as that shell does to its jobs: getpgrp(2) names no group from outside the PID namespace, and some
// programs depend on it. Shells inside may make more groups.
//
// syntap leaves the decision to the command and ends with its status. What only syntap hears, from kill or from Ctrl-C
// without a terminal, it passes on; but not SIGTSTP to a group that the command is in. When the command stops, init reports it and syntap stops as well, so that the shell
// outside sees a stopped job; after SIGCONT syntap gives the terminal back to the group inside that had it, and the command
// goes on. When all is over it takes the terminal back, and restores the modes after a command that was killed.
//
// The command inherits descriptors 0 to 2 and no others; one that is closed is /dev/null. It inherits limits, ignored
// signals and the environment as syntap found them.
package namespace
