// Package sockmem reads and sets the kernel's memory for host sockets: the bytes that a socket
// holds (SO_MEMINFO), the sizes of its buffers, and the state of a connection (TCP_INFO). Its
// functions are system calls on a descriptor, which the caller must keep open.
package sockmem
