// Package hostsock sends and receives datagrams and echoes by sockets of the host. It knows no
// clients.
//
// A [Socket] sends each datagram with the marks that the caller gives. They are options of the
// socket, set again when they differ from those of the datagram before, because IPv4 has no control
// message for all of them. The marks of a received datagram come as control messages. The socket
// queues the ICMP errors that answer its datagrams, each with a quote; a [Report] is one of these.
//
// A [Msghdr] is the memory of a system call, and belongs to one goroutine. System calls are raw and
// do not block; the Go scheduler does not know of them. Socket.mu keeps the descriptor open while a
// system call uses it. Callers allow one sender and one receiver at a time.
package hostsock
