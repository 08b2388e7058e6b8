// Package isolate has a process give up for good the rights that it does not need, and tells those
// that a process has.
//
// # Theory of operation
//
// A router reads the packets of any network. A fault that lets a packet run code in it should let
// that code do little else than route. [Enter] takes from all threads of the process, when all that
// takes more rights is done and before the first packet:
//
//   - all capabilities but those in use, and the inheritable and ambient sets, and but for exec the
//     bounding set, from which execve(2) gives some;
//   - new privileges (PR_SET_NO_NEW_PRIVS);
//   - all system calls but a list, and of some of these all but a few arguments (filter_linux.go):
//     no program is executed, no child made, no namespace entered, no other process traced or
//     signalled, nothing mounted, no kernel facility used that has a language of its own (bpf,
//     io_uring, perf events, keyrings), no executable memory mapped.
//
// A call that is refused fails with EPERM. The kernel's log names it (type=1326), so that an
// attempt is found. Where the kernel, or a sandbox around the process, takes less, Enter says so
// and the router works all the same; on architectures other than amd64 and arm64 there is no
// filter.
//
// The command of exec is not touched: its processes have been started before.
//
// [Read] asks the kernel, in /proc: the answer does not depend on the program.
//
// # Rights that stay
//
// Router, host and log are one process, which so may still do all that they do: open marked
// sockets, change routes, write the log. CAP_DAC_OVERRIDE stays for logs in directories of other
// users, and CAP_NET_ADMIN in root's exec for sockets' buffers beyond net.core.rmem_max.
//
// Landlock is not used. Under it the kernel shows a process no /proc/PID/fd, nor /proc/PID/exe, of
// any process outside (hook_ptrace_access_check in security/landlock/task.c; Linux 6.18), whatever
// the rules: records would have no owners. Nor could a reload open a log in another directory.
package isolate
