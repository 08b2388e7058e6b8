// Package hostsock sends and receives datagrams and echoes by sockets of the host. It knows no
// clients.
//
// A [Socket] sends each datagram with the marks that the caller names, which are options of the
// socket, set anew where they differ from those of the datagram before (IPv4 has no control message
// for all of them). It queues the ICMP errors that answer its datagrams, with a quote; a [Report]
// is one of these. The marks of a received datagram come as control messages.
//
// A [Msghdr] is the memory of a system call, and belongs to one goroutine. System calls do not
// block and are made raw, without notice to the Go scheduler. Socket.mu keeps the descriptor from
// being closed while one is at work; the caller bounds that to one sender and one receiver.
package hostsock
