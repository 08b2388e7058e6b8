// Command syntap is a userspace router behind a TUN interface that logs every TCP handshake as
// tcpdump prints it.
//
// There is one file per command; each has a constructor that returns a cobra command with its
// flags. The work of a command is done in the packages under cmd/internal. main and root know only
// how errors end the program: package hint.
package main
