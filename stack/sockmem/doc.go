// Package sockmem is the kernel's memory for host sockets: the bytes that a socket holds, as
// SO_MEMINFO tells, and the sizes of its buffers. Its functions are system calls on a descriptor,
// which the caller keeps from being closed.
package sockmem
