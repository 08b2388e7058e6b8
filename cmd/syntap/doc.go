// Command syntap is a userspace router behind a TUN interface. It records and filters connections,
// and prints every TCP handshake as tcpdump does.
//
// There is one file per command, with a constructor that returns a cobra command with its flags.
// The packages under cmd/internal do the work. Errors end the program as package hint says.
package main
