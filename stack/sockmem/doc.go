// Package sockmem is the kernel's memory for host sockets: the bytes that a socket holds, as
// SO_MEMINFO tells, and the sizes of its buffers; and the kernel's account of a connection
// (TCP_INFO). Its functions are system calls on a descriptor, which the caller keeps from being
// closed.
package sockmem
